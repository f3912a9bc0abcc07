// Generated from the server's OpenAPI by `npm run generate`. Not edited by hand.

export interface paths {
    "/dictionaries": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Dictionaries
         * @description All SAEs, by name.
         */
        get: operations["dictionaries"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dictionaries/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Dictionary
         * @description One SAE: what it was trained with, how good it is, and how dense its features are.
         */
        get: operations["dictionary"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dictionaries/{name}/features": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Features
         * @description A page of the table of features, each with its strongest example.
         */
        get: operations["features"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dictionaries/{name}/features/random": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Random Feature
         * @description A random ordinary feature.
         */
        get: operations["random_feature"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dictionaries/{name}/features/{index}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Feature
         * @description One feature: its numbers, its histogram, and the tokens it promotes and suppresses.
         */
        get: operations["feature"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/dictionaries/{name}/features/{index}/contexts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Contexts
         * @description Contexts of one feature, best first, token by token.
         */
        get: operations["contexts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/about": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * About
         * @description What is serving.
         */
        get: operations["about"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** About */
        About: {
            /**
             * Version
             * @description Version of lmsaes
             */
            version: string;
            /**
             * Schema Version
             * @description Version of the database's documents
             */
            schema_version: number;
            /**
             * Database
             * @description Where the data are, without credentials
             */
            database: string;
        };
        /**
         * Context
         * @description A whole context.
         */
        Context: {
            /** Tokens */
            tokens: string[];
            /** Activations */
            activations: number[];
            /**
             * Position
             * @description Index, among these tokens, of the largest
             */
            position: number;
            /**
             * Context
             * @description Its number in the cache
             */
            context: number;
            /** Maximum */
            maximum: number;
        };
        /** ContextPage */
        ContextPage: {
            /** Group */
            group: string;
            /** Total */
            total: number;
            /** Offset */
            offset: number;
            /** Contexts */
            contexts: components["schemas"]["Context"][];
        };
        /**
         * DensityHistogram
         * @description Features by the logarithm of their density; dead ones are counted apart.
         */
        DensityHistogram: {
            /**
             * Log10 Edges
             * @description One more than there are counts
             */
            log10_edges: number[];
            /** Counts */
            counts: number[];
            /**
             * Dense From
             * @description The density from which a feature is dense
             */
            dense_from: number;
        };
        /**
         * Dictionary
         * @description One SAE in full.
         */
        Dictionary: {
            /** Name */
            name: string;
            /** Run */
            run: string;
            /** Architecture */
            architecture: string;
            /** Features */
            features: number;
            /** D Model */
            d_model: number;
            /** Model */
            model: string;
            /** Hook */
            hook: string;
            /** Dataset */
            dataset: string;
            /**
             * L0
             * @description Mean number of active features per token
             */
            l0: number;
            /**
             * Fvu
             * @description Fraction of variance unexplained
             */
            fvu: number;
            /** Dead Fraction */
            dead_fraction: number;
            /** Ce Recovered */
            ce_recovered: number | null;
            /** Tokens Trained */
            tokens_trained: number;
            /** Tokens Analyzed */
            tokens_analyzed: number;
            /**
             * Created
             * @description When the analysis was made, ISO 8601
             */
            created: string;
            /** Context Size */
            context_size: number;
            /** Sae Path */
            sae_path: string;
            /** Cache Path */
            cache_path: string;
            /**
             * Config
             * @description What it was trained with
             */
            config: {
                [key: string]: unknown;
            };
            /**
             * First Feature
             * @description Index of the first feature analyzed
             */
            first_feature: number;
            /** Features Analyzed */
            features_analyzed: number;
            kinds: components["schemas"]["KindCounts"];
            density: components["schemas"]["DensityHistogram"];
        };
        /**
         * DictionarySummary
         * @description One SAE in the list.
         */
        DictionarySummary: {
            /** Name */
            name: string;
            /** Run */
            run: string;
            /** Architecture */
            architecture: string;
            /** Features */
            features: number;
            /** D Model */
            d_model: number;
            /** Model */
            model: string;
            /** Hook */
            hook: string;
            /** Dataset */
            dataset: string;
            /**
             * L0
             * @description Mean number of active features per token
             */
            l0: number;
            /**
             * Fvu
             * @description Fraction of variance unexplained
             */
            fvu: number;
            /** Dead Fraction */
            dead_fraction: number;
            /** Ce Recovered */
            ce_recovered: number | null;
            /** Tokens Trained */
            tokens_trained: number;
            /** Tokens Analyzed */
            tokens_analyzed: number;
            /**
             * Created
             * @description When the analysis was made, ISO 8601
             */
            created: string;
        };
        /**
         * Feature
         * @description One feature in full, but for its contexts.
         */
        Feature: {
            /** Dictionary */
            dictionary: string;
            /** Index */
            index: number;
            /**
             * Kind
             * @enum {string}
             */
            kind: "ordinary" | "dense" | "dead";
            /**
             * Firings
             * @description Tokens on which it was active
             */
            firings: number;
            /**
             * Density
             * @description Share of the tokens analyzed
             */
            density: number;
            /** Maximum */
            maximum: number;
            /**
             * Mean
             * @description Over the tokens on which it was active
             */
            mean: number;
            /** Tokens Analyzed */
            tokens_analyzed: number;
            histogram: components["schemas"]["Histogram"];
            /** Promotes */
            promotes: components["schemas"]["TokenWeight"][];
            /** Suppresses */
            suppresses: components["schemas"]["TokenWeight"][];
            /**
             * Groups
             * @description Groups of contexts to ask for
             */
            groups: string[];
            /** Previous */
            previous: number | null;
            /** Next */
            next: number | null;
        };
        /**
         * FeatureRow
         * @description One feature in a table.
         */
        FeatureRow: {
            /** Index */
            index: number;
            /**
             * Kind
             * @enum {string}
             */
            kind: "ordinary" | "dense" | "dead";
            /** Firings */
            firings: number;
            /** Density */
            density: number;
            /** Maximum */
            maximum: number;
            /** Mean */
            mean: number;
            histogram: components["schemas"]["Histogram"];
            /** Promotes */
            promotes: components["schemas"]["TokenWeight"][];
            example: components["schemas"]["Snippet"] | null;
        };
        /** FeatureTable */
        FeatureTable: {
            /**
             * Total
             * @description Features that pass the filter
             */
            total: number;
            /** Offset */
            offset: number;
            /** Rows */
            rows: components["schemas"]["FeatureRow"][];
        };
        /**
         * Histogram
         * @description Active tokens by activation, in equal bins of (0, upper].
         */
        Histogram: {
            /** Counts */
            counts: number[];
            /** Upper */
            upper: number;
        };
        /**
         * KindCounts
         * @description How many features are of each kind.
         */
        KindCounts: {
            /** Ordinary */
            ordinary: number;
            /** Dense */
            dense: number;
            /** Dead */
            dead: number;
        };
        /**
         * Problem
         * @description What every error answers.
         */
        Problem: {
            /**
             * Detail
             * @description What is wrong, in one line
             */
            detail: string;
        };
        /**
         * Snippet
         * @description Consecutive tokens of one context with one feature's activation on each.
         */
        Snippet: {
            /** Tokens */
            tokens: string[];
            /** Activations */
            activations: number[];
            /**
             * Position
             * @description Index, among these tokens, of the largest
             */
            position: number;
        };
        /** TokenWeight */
        TokenWeight: {
            /** Id */
            id: number;
            /** Token */
            token: string;
            /**
             * Weight
             * @description Logit weight: W_U · the feature's direction
             */
            weight: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    dictionaries: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DictionarySummary"][];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    dictionary: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Dictionary"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    features: {
        parameters: {
            query?: {
                sort?: "index" | "density" | "maximum" | "mean";
                order?: "ascending" | "descending";
                filter?: "all" | "ordinary" | "dense" | "dead";
                offset?: number;
                limit?: number;
            };
            header?: never;
            path: {
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FeatureTable"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    random_feature: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Feature"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    feature: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                index: number;
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Feature"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    contexts: {
        parameters: {
            query?: {
                group?: string;
                offset?: number;
                limit?: number;
            };
            header?: never;
            path: {
                index: number;
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ContextPage"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    about: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["About"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Unprocessable Entity */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
