// Generated from the server's OpenAPI by `npm run generate`. Not edited by hand.

export interface paths {
    "/api/about": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * About
         * @description Version of lmsaes, and which database is served.
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
    "/api/saes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Saes
         * @description All SAEs, by name.
         */
        get: operations["saes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Sae
         * @description One SAE: what it was trained with, how good it is, and how dense its features are.
         */
        get: operations["sae"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/unreadable": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Unreadable
         * @description The SAEs whose records this version can't read, by name.
         */
        get: operations["unreadable"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/features": {
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
    "/api/saes/{name}/features/random": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Random Feature
         * @description A random feature that is neither dense nor dead.
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
    "/api/saes/{name}/features/{index}": {
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
    "/api/saes/{name}/features/{index}/contexts": {
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
            /**
             * Database Uri
             * @description `--db` of this database without credentials; null where embedded
             */
            database_uri: string | null;
            /**
             * Database Folder
             * @description The embedded server's `LMSAES_DB_FOLDER`; null for the default one
             */
            database_folder: string | null;
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
         * DensityClassCounts
         * @description How many features are of each density class.
         */
        DensityClassCounts: {
            /** Regular */
            regular: number;
            /** Dense */
            dense: number;
            /** Dead */
            dead: number;
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
         * Feature
         * @description One feature in full, but for its contexts.
         */
        Feature: {
            /** Sae */
            sae: string;
            /** Index */
            index: number;
            /**
             * Density Class
             * @enum {string}
             */
            density_class: "regular" | "dense" | "dead";
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
             * @description When firing; null for a dead feature
             */
            mean: number | null;
            /** Tokens Analyzed */
            tokens_analyzed: number;
            histogram: components["schemas"]["Histogram"];
            /** Promotes */
            promotes: components["schemas"]["TokenWeight"][];
            /** Suppresses */
            suppresses: components["schemas"]["TokenWeight"][];
            /**
             * Groups
             * @description Groups of contexts that it has
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
             * Density Class
             * @enum {string}
             */
            density_class: "regular" | "dense" | "dead";
            /** Firings */
            firings: number;
            /** Density */
            density: number;
            /** Maximum */
            maximum: number;
            /**
             * Mean
             * @description When firing; null for a dead feature
             */
            mean: number | null;
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
         * Problem
         * @description The body of every error.
         */
        Problem: {
            /**
             * Detail
             * @description What is wrong, in one line
             */
            detail: string;
        };
        /**
         * SAE
         * @description One SAE in full.
         */
        SAE: {
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
            l0: number | null;
            /**
             * Fvu
             * @description Fraction of variance unexplained
             */
            fvu: number | null;
            /**
             * Dead Fraction
             * @description Share of features that never fired
             */
            dead_fraction: number | null;
            /**
             * Ce Recovered
             * @description Share of cross-entropy recovered
             */
            ce_recovered: number | null;
            /**
             * Tokens Trained
             * @description Null where it is not known
             */
            tokens_trained: number | null;
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
            density_classes: components["schemas"]["DensityClassCounts"];
            density: components["schemas"]["DensityHistogram"];
        };
        /**
         * SAESummary
         * @description One SAE in the list.
         */
        SAESummary: {
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
            l0: number | null;
            /**
             * Fvu
             * @description Fraction of variance unexplained
             */
            fvu: number | null;
            /**
             * Dead Fraction
             * @description Share of features that never fired
             */
            dead_fraction: number | null;
            /**
             * Ce Recovered
             * @description Share of cross-entropy recovered
             */
            ce_recovered: number | null;
            /**
             * Tokens Trained
             * @description Null where it is not known
             */
            tokens_trained: number | null;
            /** Tokens Analyzed */
            tokens_analyzed: number;
            /**
             * Created
             * @description When the analysis was made, ISO 8601
             */
            created: string;
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
        /**
         * UnreadableSAE
         * @description An SAE whose record this version can't read.
         */
        UnreadableSAE: {
            /** Name */
            name: string;
            /**
             * Problem
             * @description Another schema, or what is damaged
             */
            problem: string;
            /**
             * Hint
             * @description What to do about it
             */
            hint: string;
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
    saes: {
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
                    "application/json": components["schemas"]["SAESummary"][];
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
    sae: {
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
                    "application/json": components["schemas"]["SAE"];
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
    unreadable: {
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
                    "application/json": components["schemas"]["UnreadableSAE"][];
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
                filter?: "all" | "regular" | "dense" | "dead";
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
}
