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
         * @description Version of lmsaes, which database is served, and whether there are models to ask.
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
    "/api/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Healthz
         * @description The server runs; the database is not asked.
         */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Readyz
         * @description The database answers; 503 where it does not.
         */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/places": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Places
         * @description The caches and runs in the folder that the server was started in, and a little below it.
         */
        get: operations["places"];
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
    "/api/saes/{name}/columns": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Columns
         * @description An SAE's columns, first axis = feature, as a safetensors file; see docs/server.md.
         *
         *     The address that names the analysis never changes what it answers.
         */
        get: operations["columns"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/vocabularies/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Vocabulary
         * @description The token strings of a vocabulary, by token id.
         */
        get: operations["vocabulary"];
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
         * @description One feature: all that is known of it but its contexts.
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
         * @description A group of a feature's contexts, each the tokens around its strongest activation, as a
         *     safetensors file; see docs/server.md.
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
    "/api/saes/{name}/features/{index}/contexts/{context}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whole Context
         * @description One context from its beginning to its end, and those before and after it where they are kept.
         *
         *     Activations that are not known, of the neighbors, are NaN.
         */
        get: operations["whole_context"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/explanations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * All Explanations
         * @description What is said now of all features of an SAE that something is said of.
         */
        get: operations["all_explanations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/features/{index}/explanations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Explanations
         * @description What is said of a feature, with its history.
         */
        get: operations["explanations"];
        /**
         * Explain Feature
         * @description Says what a feature stands for; what was said before stays in its history.
         */
        put: operations["explain_feature"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/notes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Notes
         * @description All notes on an SAE's features, which is their file.
         */
        get: operations["notes"];
        put?: never;
        /**
         * Add Notes
         * @description Takes a file of notes in; a note that is there gets the file's words behind its own.
         */
        post: operations["add_notes"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/features/{index}/note": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Note
         * @description The note on a feature, which may be empty.
         */
        get: operations["note"];
        /**
         * Change Note
         * @description Keeps a note; 409 where somebody has changed it since that version.
         */
        put: operations["change_note"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Explain Features
         * @description Has the server's explainer label features in the background.
         */
        post: operations["explain_features"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Jobs
         * @description The jobs that were given to this server since it started, the newest first.
         */
        get: operations["jobs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Job
         * @description One job.
         */
        get: operations["job"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel Job
         * @description Stops a job; one that has ended stays as it is.
         */
        post: operations["cancel_job"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/lists": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists
         * @description All lists, by name.
         */
        get: operations["lists"];
        put?: never;
        /**
         * New List
         * @description A new list; a list's own file is taken too.
         */
        post: operations["new_list"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/lists/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One List
         * @description A list, which is its file.
         */
        get: operations["one_list"];
        /**
         * Change List
         * @description Puts other contents into a list; 409 where somebody has changed it since that version.
         */
        put: operations["change_list"];
        post?: never;
        /**
         * Remove List
         * @description Removes a list and answers what it was.
         */
        delete: operations["remove_list"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/features/{index}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Export Feature
         * @description A feature as a file: what is known (`json`, `html`), a snippet that reads it (`python`), or
         *     its rows of the SAE's weights, float32: `decoder` and `encoder` (`vector`, which is JSON, and
         *     `safetensors`), the decoder's alone (`npy`).
         */
        get: operations["export_feature"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/compare": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Compare
         * @description Each feature of two SAEs and its twin in the other, as columns.
         *
         *     Twins are found when an SAE is analyzed, in the SAEs that were there before: of two that were
         *     analyzed one after the other only the later one's features may have them.
         */
        get: operations["compare"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Metrics
         * @description What was measured while an SAE was trained, by optimizer step; empty where nothing was.
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tokenize": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Tokenize Text
         * @description A text as the tokens of an SAE's language model.
         */
        post: operations["tokenize_text"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/activations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Activations
         * @description What an SAE's features do on a text: ranked, and token by token.
         */
        post: operations["activations"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/compare/activations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Compare Activations
         * @description One or two texts through some SAEs of one model.
         */
        post: operations["compare_activations"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/features/{index}/loss-effect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Loss Effect
         * @description What taking a feature out of contexts does to each next token's log-probability.
         */
        post: operations["loss_effect"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/steer": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Steer
         * @description Completions of a prompt with features edited, beside the model's own, as they are written.
         *
         *     A request whose client has gone stops.
         */
        post: operations["steer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Graphs
         * @description All graphs, newest first.
         */
        get: operations["graphs"];
        put?: never;
        /**
         * Trace Prompt
         * @description Traces a prompt and keeps the graph; a request whose client has gone stops.
         *
         *     409 where a name was given that another graph has.
         */
        post: operations["trace_prompt"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Graph
         * @description One graph: what it is of, how far to believe it, and its groups.
         */
        get: operations["graph"];
        put?: never;
        post?: never;
        /**
         * Remove Graph
         * @description Removes a graph and answers what it was; 410 where another one is called so now.
         */
        delete: operations["remove_graph"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/groups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Change Groups
         * @description Puts other groups into a graph; 409 where somebody has changed them since that version.
         */
        put: operations["change_groups"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/nodes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Graph Nodes
         * @description All nodes, labeled with what is said of the features today, or the tokens they fire on.
         */
        get: operations["graph_nodes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/edges": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Graph Edges
         * @description The strongest edges, by the influence on the targets that flows through them.
         */
        get: operations["graph_edges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/nodes/{id}/edges": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Node Edges
         * @description What a node is made of, and where it goes.
         */
        get: operations["node_edges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Export Graph
         * @description A graph as a file in circuit-tracer's format, labels and groups in it.
         */
        get: operations["export_graph"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/saes/{name}/features/{index}/graphs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Graphs Of Feature
         * @description The graphs that a feature is in, newest first.
         */
        get: operations["graphs_of_feature"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/transcoders": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Transcoder Sets
         * @description The analyzed transcoders of MLPs, a set of one per layer for each run, by name.
         *
         *     Where a run has several of a layer there are as many sets.
         */
        get: operations["transcoder_sets"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/split": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Split Edge
         * @description Through which attention heads an edge goes, at each block between its ends.
         */
        get: operations["split_edge"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/graphs/{name}/interventions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Intervene In Graph
         * @description Ablates or scales nodes and groups in the real model, beside what the graph predicts.
         */
        post: operations["intervene_in_graph"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/api/feature/{model}/{source}/{index}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Neuronpedia Feature
         * @description A feature with its activations and explanations.
         */
        get: operations["neuronpedia_feature"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/api/activation/new": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Neuronpedia Activation
         * @description What a feature does on a text, or on each of several.
         */
        post: operations["neuronpedia_activation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/api/search-all": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Neuronpedia Search
         * @description The strongest features of a text, of several SAEs together; or of each of several texts.
         */
        post: operations["neuronpedia_search"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/api/steer": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Neuronpedia Steer
         * @description A completion with features steered, and the model's own. A strength is what is added to the
         *     feature's activation, in units of it.
         */
        post: operations["neuronpedia_steer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/dictionaries": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Dictionaries
         * @description The names of the SAEs.
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
    "/compat/dictionaries/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Dictionary
         * @description An SAE, and how many of its features fire how often.
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
    "/compat/dictionaries/{name}/features/{index}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Dictionary Feature
         * @description A feature by its number, or `random`.
         */
        get: operations["dictionary_feature"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/dictionaries/{name}/features/{index}/custom": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Dictionary Feature Custom
         * @description What a feature does on a text.
         */
        post: operations["dictionary_feature_custom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/dictionaries/{name}/custom": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Dictionary Custom
         * @description The features that fire on each token of a text, by index.
         */
        post: operations["dictionary_custom"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/dictionaries/{name}/features/{index}/interpret": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Dictionary Interpret
         * @description Says what a feature stands for: `type=custom` alone, since no model is asked from here.
         */
        post: operations["dictionary_interpret"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/compat/model/generate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Model Generate
         * @description A completion with features steered; its likeliest next tokens and active features.
         */
        post: operations["model_generate"];
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
            /**
             * Asks Model
             * @description Whether own text and steering are served
             */
            asks_model: boolean;
            /**
             * Model
             * @description The language model in memory; null until it is needed
             */
            model: string | null;
            /**
             * Explainer
             * @description The model that labels can be asked of; null for none
             */
            explainer: string | null;
        };
        /**
         * ActivationNew
         * @description `POST /api/activation/new`
         */
        ActivationNew: {
            feature: components["schemas"]["NeuronpediaFeature"];
            /** Customtext */
            customText: string | string[];
            /**
             * Ignorebos
             * @default false
             */
            ignoreBos: boolean;
        };
        /**
         * Activations
         * @description What an SAE makes of a text.
         */
        Activations: {
            /** Tokens */
            tokens: components["schemas"]["TextToken"][];
            /** Bos Added */
            bos_added: boolean;
            /** Sae */
            sae: string;
            /** Analysis */
            analysis: string;
            /**
             * Total
             * @description Features that were ranked
             */
            total: number;
            hidden: components["schemas"]["Hidden"];
            /** Features */
            features: components["schemas"]["TextFeature"][];
            /**
             * Chosen
             * @description Those that were asked for by index
             */
            chosen: components["schemas"]["TextFeature"][];
            /**
             * Per Token
             * @description Strongest first
             */
            per_token: components["schemas"]["FeatureAtToken"][][];
            /**
             * Active
             * @description How many features fire, token by token
             */
            active: number[];
            /** Variance Explained */
            variance_explained: (number | null)[];
        };
        /** ActivationsRequest */
        ActivationsRequest: {
            /** Text */
            text?: string | null;
            /** Token Ids */
            token_ids?: number[] | null;
            /**
             * Bos
             * @description Begin with the beginning-of-text token; null: where there is one
             */
            bos?: boolean | null;
            /**
             * Rank
             * @default maximum
             * @enum {string}
             */
            rank: "maximum" | "sum" | "share" | "relative" | "surprise";
            /**
             * Limit
             * @default 50
             */
            limit: number;
            /**
             * Features
             * @description Show these too, whatever their rank
             * @default []
             */
            features: number[];
            /** Positions */
            positions?: number[] | null;
            /**
             * Ignore Special
             * @default true
             */
            ignore_special: boolean;
            /** Density Max */
            density_max?: number | null;
            /**
             * Per Token
             * @description How many features to name at each token
             * @default 5
             */
            per_token: number;
        };
        /**
         * Agreement
         * @description Predicted against real changes; null where there is nothing to compare.
         */
        Agreement: {
            /**
             * R Per Source
             * @description Median over ablated features of Pearson's r
             */
            r_per_source: number | null;
            /** R Pooled */
            r_pooled: number | null;
            /**
             * Slope
             * @description Of real on predicted changes
             */
            slope: number | null;
            /**
             * Missed
             * @description Share of the squared real change that was not predicted
             */
            missed: number | null;
        };
        /** AskedCondition */
        AskedCondition: {
            /** Sae */
            sae: string;
            /** Feature */
            feature: number;
            /**
             * Above
             * @default 0
             */
            above: number;
        };
        /** AskedEdit */
        AskedEdit: {
            /** Sae */
            sae: string;
            /** Feature */
            feature: number;
            /**
             * Method
             * @enum {string}
             */
            method: "add" | "set" | "scale" | "ablate" | "orthogonal";
            /**
             * Value
             * @description In units of the feature's activation; not for ablate
             */
            value?: number | null;
            /**
             * Positions
             * @default all
             */
            positions: ("all" | "prompt" | "generated") | number[];
            /**
             * Special
             * @default false
             */
            special: boolean;
            when?: components["schemas"]["AskedCondition"] | null;
        };
        /**
         * AskedFactor
         * @description A node, or all nodes of a group, and what their activations are multiplied by.
         */
        AskedFactor: {
            /** Node */
            node?: string | null;
            /** Group */
            group?: string | null;
            /**
             * Factor
             * @description 0 ablates, 1 changes nothing
             */
            factor: number;
        };
        /** BlockSplit */
        BlockSplit: {
            /** Layer */
            layer: number;
            /** Heads */
            heads: number[];
            /**
             * Stream
             * @description What passes the block's attention by
             */
            stream: number;
        };
        /** CachePlace */
        CachePlace: {
            /** Path */
            path: string;
            /** Hooks */
            hooks: string[];
        };
        /**
         * ChangedList
         * @description A list's new contents; `version` is the one that was changed.
         */
        ChangedList: {
            /** Name */
            name: string;
            /**
             * Description
             * @default
             */
            description: string;
            /**
             * Text
             * @default
             */
            text: string;
            /**
             * Features
             * @default []
             */
            features: components["schemas"]["ListEntry"][];
            /** Version */
            version: number;
        };
        /** CofiringNeighbor */
        CofiringNeighbor: {
            /** Feature */
            feature: number;
            /** Jaccard */
            jaccard: number;
            /**
             * Pmi
             * @description Pointwise mutual information, nats
             */
            pmi: number;
            /**
             * Joint
             * @description Sampled rows on which both fire
             */
            joint: number;
        };
        /**
         * CompareRequest
         * @description Some SAEs of one model on one or two texts.
         */
        CompareRequest: {
            /** Saes */
            saes: string[];
            /** Texts */
            texts: string[];
            /**
             * Rank
             * @default maximum
             * @enum {string}
             */
            rank: "maximum" | "sum" | "share" | "relative" | "surprise";
            /**
             * Limit
             * @default 50
             */
            limit: number;
            /**
             * Ignore Special
             * @default true
             */
            ignore_special: boolean;
            /** Density Max */
            density_max?: number | null;
        };
        /** Comparison */
        Comparison: {
            /**
             * Results
             * @description By text, then by SAE
             */
            results: components["schemas"]["Activations"][][];
        };
        /** ContextLossEffect */
        ContextLossEffect: {
            /** Context */
            context: number;
            /**
             * Changes
             * @description At each token of the context, the change of the log-probability of the token after it when the feature is ablated, in nats: below 0 where the feature helped; null at the last token
             */
            changes: (number | null)[];
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
         * EdgeSplit
         * @description An edge divided up at each block between its ends; each block's parts sum to `weight`.
         */
        EdgeSplit: {
            /** Graph */
            graph: string;
            /** Source */
            source: string;
            /** Target */
            target: string;
            /** Weight */
            weight: number;
            /** Blocks */
            blocks: components["schemas"]["BlockSplit"][];
        };
        /** ExplainRequest */
        ExplainRequest: {
            /**
             * Start
             * @description The first feature
             */
            start: number;
            /**
             * Stop
             * @description The one after the last feature
             */
            stop: number;
            /**
             * Score
             * @description Score the labels too
             * @default false
             */
            score: boolean;
            /**
             * Max Requests
             * @description Null: as many as the server was started with
             */
            max_requests?: number | null;
        };
        /** ExplanationVersion */
        ExplanationVersion: {
            /** Text */
            text: string;
            /** Author */
            author: string;
            /** By Model */
            by_model: boolean;
            /**
             * Created
             * Format: date-time
             */
            created: string;
        };
        /**
         * Feature
         * @description One feature in full, but for its contexts.
         */
        Feature: {
            /** Sae */
            sae: string;
            /** Analysis */
            analysis: string;
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
            /**
             * Contexts
             * @description In which it fires; null where it is not known
             * @default null
             */
            contexts: number | null;
            /**
             * Label
             * @description From the tokens it fires on; null for a dead feature
             * @default null
             */
            label: string | null;
            histogram: components["schemas"]["Histogram"];
            /**
             * Fires On
             * @description Largest sum first
             * @default []
             */
            fires_on: components["schemas"]["FiresOnToken"][];
            /**
             * Preceded By
             * @default []
             */
            preceded_by: components["schemas"]["PrecedingToken"][];
            /** Promotes */
            promotes: components["schemas"]["TokenWeight"][];
            /** Suppresses */
            suppresses: components["schemas"]["TokenWeight"][];
            /**
             * @description Null where the hook is not in the residual stream
             * @default null
             */
            logits: components["schemas"]["Logits"] | null;
            /**
             * Hooks
             * @description Of crosscoders
             * @default []
             */
            hooks: components["schemas"]["HookEffect"][];
            /**
             * @description Null in an analysis of a former version
             * @default null
             */
            wiring: components["schemas"]["Wiring"] | null;
            /**
             * @description Null where it was not measured (--output-scores)
             * @default null
             */
            output: components["schemas"]["Output"] | null;
            /**
             * @default {
             *       "decoder": [],
             *       "encoder": [],
             *       "jaccard": [],
             *       "pmi": []
             *     }
             */
            neighbors: components["schemas"]["Neighbors"];
            /**
             * Twins
             * @default []
             */
            twins: components["schemas"]["Twin"][];
            /**
             * Stability
             * @description Mean score of the twins; null without other SAEs
             * @default null
             */
            stability: number | null;
            /**
             * Groups
             * @description Groups of contexts
             */
            groups: components["schemas"]["Group"][];
            /** Previous */
            previous: number | null;
            /** Next */
            next: number | null;
        };
        /** FeatureAtToken */
        FeatureAtToken: {
            /** Index */
            index: number;
            /** Activation */
            activation: number;
        };
        /**
         * FeatureExplanations
         * @description What is said of a feature, the newest last.
         */
        FeatureExplanations: {
            /** Current */
            current: string | null;
            /** Versions */
            versions: components["schemas"]["ExplanationVersion"][];
        };
        /** FeatureInGraph */
        FeatureInGraph: {
            /** Id */
            id: string;
            /** Position */
            position: number;
            /** Token */
            token: string;
            /** Activation */
            activation: number;
            /** Influence */
            influence: number;
        };
        /**
         * FeatureInGraphs
         * @description A graph that a feature is in.
         */
        FeatureInGraphs: {
            /** Name */
            name: string;
            /** Graph */
            graph: string;
            /** Prompt */
            prompt: string;
            /** Nodes */
            nodes: components["schemas"]["FeatureInGraph"][];
        };
        /**
         * FeatureList
         * @description A list as it is kept.
         */
        FeatureList: {
            /** Name */
            name: string;
            /**
             * Description
             * @default
             */
            description: string;
            /**
             * Text
             * @default
             */
            text: string;
            /**
             * Features
             * @default []
             */
            features: components["schemas"]["ListEntry"][];
            /** Id */
            id: string;
            /** Version */
            version: number;
            /**
             * Changed
             * Format: date-time
             */
            changed: string;
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
        /**
         * FeatureTable
         * @description A page of the table of features.
         */
        FeatureTable: {
            /** Analysis */
            analysis: string;
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
         * FiresOnToken
         * @description A token that a feature fires on.
         */
        FiresOnToken: {
            /** Id */
            id: number;
            /** Token */
            token: string;
            /**
             * Count
             * @description Firings on it
             */
            count: number;
            /**
             * Mean
             * @description Mean activation when it fires on it
             */
            mean: number;
            /** Share Of Firings */
            share_of_firings: number;
            /**
             * Share Of Token
             * @description Of the token's occurrences
             */
            share_of_token: number;
        };
        /**
         * Generate
         * @description `POST /model/generate`. top_k has no effect here; temperature and seed had none there.
         */
        Generate: {
            /** Input Text */
            input_text: string | number[];
            /**
             * Max New Tokens
             * @default 128
             */
            max_new_tokens: number;
            /**
             * Top P
             * @default 0.95
             */
            top_p: number;
            /**
             * Return Logits Top K
             * @default 5
             */
            return_logits_top_k: number;
            /**
             * Temperature
             * @default 1
             */
            temperature: number;
            /**
             * Seed
             * @default 0
             */
            seed: number;
            /**
             * Saes
             * @default []
             */
            saes: string[];
            /**
             * Steerings
             * @default []
             */
            steerings: components["schemas"]["Steering"][];
        };
        /**
         * Graph
         * @description One graph, without its nodes and edges.
         */
        Graph: {
            /** Name */
            name: string;
            /** Graph */
            graph: string;
            /** Prompt */
            prompt: string;
            /** Model */
            model: string;
            /** Created */
            created: string;
            /** Tokens */
            tokens: string[];
            /** Token Ids */
            token_ids: number[];
            /** Special */
            special: boolean[];
            /** Layers */
            layers: number;
            /** Transcoders */
            transcoders: components["schemas"]["TracedLayer"][];
            /** Node Threshold */
            node_threshold: number;
            /** Edge Threshold */
            edge_threshold: number;
            /** Nodes */
            nodes: number;
            /** Edges */
            edges: number;
            proof: components["schemas"]["GraphProof"];
            /**
             * Version
             * @description Of the groups
             */
            version: number;
            /** Groups */
            groups: components["schemas"]["GraphGroup"][];
        };
        /**
         * GraphEdges
         * @description Edges as columns, strongest first by their share of the influence.
         */
        GraphEdges: {
            /** Graph */
            graph: string;
            /**
             * Total
             * @description How many pass the threshold
             */
            total: number;
            /** Source */
            source: number[];
            /** Target */
            target: number[];
            /** Weight */
            weight: number[];
            /** Cumulative */
            cumulative: number[];
        };
        /**
         * GraphGroup
         * @description Nodes that are read as one, under a name.
         */
        GraphGroup: {
            /** Name */
            name: string;
            /** Nodes */
            nodes: string[];
        };
        /** GraphNode */
        GraphNode: {
            /** Id */
            id: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "feature" | "error" | "token" | "logit" | "target";
            /**
             * Layer
             * @description −1: tokens; the number of blocks: logits
             */
            layer: number;
            /** Position */
            position: number;
            /** Sae */
            sae: string | null;
            /**
             * Index
             * @description The feature's, or the token's or logit's id
             */
            index: number | null;
            /** Label */
            label: string | null;
            /**
             * Explained
             * @description Whether a person or a model said it
             */
            explained: boolean;
            /**
             * Label Tokens
             * @description The tokens that most of a feature's firings are on
             */
            label_tokens: string[];
            /**
             * Maximum
             * @description Of the feature, on the tokens analyzed; null without them
             */
            maximum: number | null;
            /** Density */
            density: number | null;
            /** Activation */
            activation: number | null;
            /**
             * Value
             * @description What edges explain: an activation, or a logit less the mean
             */
            value: number | null;
            /**
             * Influence
             * @description On the targets
             */
            influence: number | null;
            /**
             * Cumulative
             * @description Share of all influence up to and with this node, strongest first
             */
            cumulative: number | null;
            /**
             * Probability
             * @description Of a logit
             */
            probability: number | null;
        };
        /**
         * GraphNodes
         * @description A node's number in edges is its place here: features, errors, tokens, targets.
         */
        GraphNodes: {
            /** Graph */
            graph: string;
            /** Nodes */
            nodes: components["schemas"]["GraphNode"][];
        };
        /**
         * GraphProof
         * @description How far to believe a graph.
         */
        GraphProof: {
            /**
             * Completeness Error
             * @description What edges miss what they explain by, of its rms
             */
            completeness_error: number;
            /** Replacement Score */
            replacement_score: number;
            /** Completeness Score */
            completeness_score: number;
            /** Features Active */
            features_active: number;
            /** Features Followed */
            features_followed: number;
            /**
             * Edges Left
             * @description Share of the edges that comes from features not followed
             */
            edges_left: number;
            verification: components["schemas"]["GraphVerification"] | null;
        };
        /**
         * GraphSummary
         * @description One graph in the list.
         */
        GraphSummary: {
            /** Name */
            name: string;
            /**
             * Graph
             * @description Its id: another one when it is traced again
             */
            graph: string;
            /** Prompt */
            prompt: string;
            /** Model */
            model: string;
            /**
             * Created
             * @description ISO 8601
             */
            created: string;
            /** Tokens */
            tokens: number;
            /**
             * Features
             * @description Feature nodes that are shown
             */
            features: number;
            /** Edges */
            edges: number;
            /** Targets */
            targets: string[];
            /** Replacement Score */
            replacement_score: number;
            /** Completeness Score */
            completeness_score: number;
            /**
             * R Per Source
             * @description Predicted against real changes; null where it was not verified
             */
            r_per_source: number | null;
        };
        /**
         * GraphVerification
         * @description Ablations in the real model beside what the graph predicts.
         */
        GraphVerification: {
            /** Ablations */
            ablations: number;
            /**
             * Frozen Error
             * @description With everything held, of the edges' rms
             */
            frozen_error: number;
            direct: components["schemas"]["Agreement"];
            /** @description Along all paths */
            total: components["schemas"]["Agreement"];
            on_targets: components["schemas"]["Agreement"];
            /**
             * Let Go
             * @description Direct, with one thing let go at a time
             */
            let_go: {
                [key: string]: components["schemas"]["Agreement"];
            };
        };
        /**
         * Group
         * @description A group of contexts: of how many it was drawn, and between which maxima, (lower, upper].
         */
        Group: {
            /** Name */
            name: string;
            /**
             * Available
             * @description Null where it is not known
             */
            available: number | null;
            /** Lower */
            lower: number | null;
            /** Upper */
            upper: number | null;
        };
        /** Health */
        Health: {
            /**
             * Status
             * @constant
             */
            status: "ok";
        };
        /**
         * Hidden
         * @description Features that fire and are not in the ranking.
         */
        Hidden: {
            /** Dense */
            dense: number;
            /**
             * Special
             * @description They fire on special tokens alone
             */
            special: number;
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
         * HookEffect
         * @description What a crosscoder's feature does at one of its hooks.
         */
        HookEffect: {
            /** Hook */
            hook: string;
            /**
             * Norm
             * @description Of the decoder's row there
             */
            norm: number;
            /** Promotes */
            promotes: components["schemas"]["TokenWeight"][];
            /** Suppresses */
            suppresses: components["schemas"]["TokenWeight"][];
        };
        /**
         * Intervention
         * @description Nodes ablated or scaled in the real model, beside what the graph predicts.
         */
        Intervention: {
            /** Graph */
            graph: string;
            /** Edits */
            edits: components["schemas"]["NodeFactor"][];
            /** Targets */
            targets: components["schemas"]["NodeChange"][];
            /**
             * Features
             * @description Reached, largest real change first
             */
            features: components["schemas"]["NodeChange"][];
            agreement: components["schemas"]["InterventionAgreement"];
            /**
             * Next Tokens
             * @description The likeliest before or after, the likeliest first
             */
            next_tokens: components["schemas"]["NextToken"][];
        };
        /** InterventionAgreement */
        InterventionAgreement: {
            direct: components["schemas"]["Agreement"];
            total: components["schemas"]["Agreement"];
            on_targets: components["schemas"]["Agreement"];
        };
        /** InterventionRequest */
        InterventionRequest: {
            /** Graph */
            graph: string;
            /** Edits */
            edits: components["schemas"]["AskedFactor"][];
            /**
             * Limit
             * @default 50
             */
            limit: number;
        };
        /**
         * Job
         * @description Labels that a language model writes while nobody waits for them.
         */
        Job: {
            /** Id */
            id: string;
            /** Sae */
            sae: string;
            /**
             * Explainer
             * @description The model that writes the labels
             */
            explainer: string;
            /** Start */
            start: number;
            /** Stop */
            stop: number;
            /** Score */
            score: boolean;
            /** Max Requests */
            max_requests: number;
            /**
             * State
             * @default waiting
             * @enum {string}
             */
            state: "waiting" | "running" | "done" | "failed" | "cancelled";
            /**
             * What
             * @description What it is doing now
             */
            what?: ("labels" | "scores") | null;
            /**
             * Done
             * @description Features, of `total`, that `what` is done for
             * @default 0
             */
            done: number;
            /**
             * Total
             * @default 0
             */
            total: number;
            /**
             * Written
             * @description Labels and scores; 0 until it has ended
             * @default 0
             */
            written: number;
            /**
             * Failed
             * @description Features that no label could be made for
             * @default 0
             */
            failed: number;
            /**
             * Unfinished
             * @description Features left, as the budget was spent or the job cancelled
             * @default 0
             */
            unfinished: number;
            /**
             * Requests
             * @description That were sent; 0 until it has ended
             * @default 0
             */
            requests: number;
            /**
             * Detail
             * @description Why it failed, in one line
             */
            detail?: string | null;
            /**
             * Created
             * Format: date-time
             */
            created: string;
            /** Ended */
            ended?: string | null;
        };
        /**
         * ListContents
         * @description What a person puts into a list, and what its file holds.
         */
        ListContents: {
            /** Name */
            name: string;
            /**
             * Description
             * @default
             */
            description: string;
            /**
             * Text
             * @default
             */
            text: string;
            /**
             * Features
             * @default []
             */
            features: components["schemas"]["ListEntry"][];
        };
        /**
         * ListEntry
         * @description A feature in a list.
         */
        ListEntry: {
            /** Sae */
            sae: string;
            /** Feature */
            feature: number;
            /**
             * Note
             * @default
             */
            note: string;
        };
        /**
         * Logits
         * @description All logit weights of a feature: moments, and tokens by weight from lower to upper.
         */
        Logits: {
            /** Mean */
            mean: number;
            /** Std */
            std: number;
            /** Skewness */
            skewness: number | null;
            /**
             * Kurtosis
             * @description In excess of a normal distribution's
             */
            kurtosis: number | null;
            /**
             * Counts
             * @description Tokens in equal bins
             */
            counts: number[];
            /** Lower */
            lower: number;
            /** Upper */
            upper: number;
        };
        /**
         * LossEffect
         * @description What taking a feature out does to the model's next tokens.
         */
        LossEffect: {
            /** Sae */
            sae: string;
            /** Analysis */
            analysis: string;
            /** Feature */
            feature: number;
            /**
             * Contexts
             * @description In the order asked
             */
            contexts: components["schemas"]["ContextLossEffect"][];
        };
        /** LossEffectRequest */
        LossEffectRequest: {
            /**
             * Contexts
             * @description Contexts by number, such as those shown
             */
            contexts: number[];
            /**
             * Analysis
             * @description The analysis that is meant; 410 where it is no longer the SAE's
             */
            analysis?: string | null;
        };
        /**
         * MatchedSAEs
         * @description Two SAEs' features and their twins; null for a side whose twins are not known.
         */
        MatchedSAEs: {
            /** Analysis A */
            analysis_a: string;
            /** Analysis B */
            analysis_b: string;
            a_in_b: components["schemas"]["Matches"] | null;
            b_in_a: components["schemas"]["Matches"] | null;
        };
        /**
         * Matches
         * @description The features of one SAE that have a twin in another, as columns of one length.
         */
        Matches: {
            /** Feature */
            feature: number[];
            /**
             * Partner
             * @description The feature of the other SAE
             */
            partner: number[];
            /**
             * Cosine
             * @description Of the decoder directions
             */
            cosine: (number | null)[];
            /**
             * Correlation
             * @description Of the activations, on a sample
             */
            correlation: (number | null)[];
            /**
             * Mutual
             * @description The twin's twin is the feature itself
             */
            mutual: boolean[];
        };
        /**
         * Metrics
         * @description How a training went; every series is as long as `step`.
         */
        Metrics: {
            /** Analysis */
            analysis: string;
            /**
             * Step
             * @description Optimizer steps, ascending
             */
            step: number[];
            /** Series */
            series: {
                [key: string]: (number | null)[];
            };
        };
        /** NearNeighbor */
        NearNeighbor: {
            /** Feature */
            feature: number;
            /** Cosine */
            cosine: number;
        };
        /**
         * Neighbors
         * @description Features of the same SAE, nearest first: by direction, and by what fires together.
         */
        Neighbors: {
            /**
             * Decoder
             * @default []
             */
            decoder: components["schemas"]["NearNeighbor"][];
            /**
             * Encoder
             * @default []
             */
            encoder: components["schemas"]["NearNeighbor"][];
            /**
             * Jaccard
             * @default []
             */
            jaccard: components["schemas"]["CofiringNeighbor"][];
            /**
             * Pmi
             * @default []
             */
            pmi: components["schemas"]["CofiringNeighbor"][];
        };
        /** NeuronpediaFeature */
        NeuronpediaFeature: {
            /** Modelid */
            modelId: string;
            /** Source */
            source: string;
            /** Index */
            index: number | string;
        };
        /**
         * NeuronpediaSteer
         * @description `POST /api/steer`. freq_penalty has no effect, there as here.
         */
        NeuronpediaSteer: {
            /** Prompt */
            prompt: string;
            /** Modelid */
            modelId: string;
            /** Features */
            features: components["schemas"]["SteeredFeature"][];
            /**
             * Temperature
             * @default 0.5
             */
            temperature: number;
            /**
             * N Tokens
             * @default 48
             */
            n_tokens: number;
            /**
             * Seed
             * @default 16
             */
            seed: number;
            /**
             * Strength Multiplier
             * @default 1
             */
            strength_multiplier: number;
            /**
             * Steer Method
             * @default SIMPLE_ADDITIVE
             * @enum {string}
             */
            steer_method: "SIMPLE_ADDITIVE" | "ORTHOGONAL_DECOMP";
            /**
             * N Logprobs
             * @default 5
             */
            n_logprobs: number;
            /**
             * Stream
             * @description It is answered when it is done
             * @default false
             * @constant
             */
            stream: false;
        };
        /** NewExplanation */
        NewExplanation: {
            /**
             * Text
             * @description An empty one takes back what was said
             */
            text: string;
            /** Author */
            author: string;
        };
        /**
         * NewGroups
         * @description All of a graph's groups; `version` is the one that was changed.
         */
        NewGroups: {
            /** Graph */
            graph: string;
            /** Version */
            version: number;
            /** Groups */
            groups: components["schemas"]["GraphGroup"][];
        };
        /**
         * NewNote
         * @description A note's new words; `version` is the one that was changed, 0 where there was none.
         */
        NewNote: {
            /**
             * Text
             * @description An empty one takes the note away
             */
            text: string;
            /** Version */
            version: number;
        };
        /** NextToken */
        NextToken: {
            /** Id */
            id: number;
            /** Token */
            token: string;
            /**
             * Before
             * @description Probability
             */
            before: number;
            /** After */
            after: number;
        };
        /**
         * NodeChange
         * @description What a node had, and its changes: in the real model and as predicted.
         */
        NodeChange: {
            /** Node */
            node: string;
            /** Before */
            before: number;
            /** Real */
            real: number;
            /** Direct */
            direct: number;
            /** Total */
            total: number;
        };
        /** NodeEdge */
        NodeEdge: {
            /** Node */
            node: string;
            /** Weight */
            weight: number;
            /**
             * Share
             * @description Of |weight| over all shown edges into the target
             */
            share: number;
        };
        /**
         * NodeEdges
         * @description What a node is made of and where it goes, largest first.
         */
        NodeEdges: {
            /** Graph */
            graph: string;
            /** Node */
            node: string;
            /**
             * Constant
             * @description What biases give; null of leaves
             */
            constant: number | null;
            /** Value */
            value: number | null;
            /** In Total */
            in_total: number;
            /** Out Total */
            out_total: number;
            /** Incoming */
            incoming: components["schemas"]["NodeEdge"][];
            /** Outgoing */
            outgoing: components["schemas"]["NodeEdge"][];
        };
        /** NodeFactor */
        NodeFactor: {
            /** Node */
            node: string;
            /** Factor */
            factor: number;
        };
        /**
         * Note
         * @description What somebody noted of a feature.
         */
        Note: {
            /** Feature */
            feature: number;
            /** Text */
            text: string;
            /**
             * Version
             * @default 0
             */
            version: number;
            /** Changed */
            changed?: string | null;
        };
        /** NoteInFile */
        NoteInFile: {
            /** Feature */
            feature: number;
            /** Text */
            text: string;
        };
        /**
         * NotesFile
         * @description The notes on an SAE's features, by feature: what its file holds.
         */
        NotesFile: {
            /**
             * Sae
             * @default
             */
            sae: string;
            /** Notes */
            notes: components["schemas"]["NoteInFile"][];
        };
        /**
         * Output
         * @description What adding a feature, at every token of some contexts, does to the next token.
         */
        Output: {
            /**
             * Value
             * @description What was added, in units of its activation
             */
            value: number;
            /**
             * Kl
             * @description KL divergence in nats, mean over contexts
             */
            kl: number;
            /**
             * Raises
             * @description Largest change first
             */
            raises: components["schemas"]["RaisedToken"][];
        };
        /**
         * Places
         * @description Folders of this machine, at most twenty of a kind.
         */
        Places: {
            /** Caches */
            caches: components["schemas"]["CachePlace"][];
            /** Runs */
            runs: components["schemas"]["RunPlace"][];
        };
        /**
         * PrecedingToken
         * @description A token that stands before a feature's firings.
         */
        PrecedingToken: {
            /** Id */
            id: number;
            /** Token */
            token: string;
            /** Count */
            count: number;
            /**
             * Share
             * @description Of the feature's firings
             */
            share: number;
            /**
             * Lift
             * @description Its share over that before any token
             */
            lift: number;
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
        /** RaisedToken */
        RaisedToken: {
            /** Id */
            id: number;
            /** Token */
            token: string;
            /**
             * Change
             * @description Of its probability, mean over contexts
             */
            change: number;
        };
        /** RunPlace */
        RunPlace: {
            /** Path */
            path: string;
            /** Cache */
            cache: string | null;
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
            /**
             * Target
             * @description The hook whose activations a transcoder gives
             */
            target: string | null;
            /** Dataset */
            dataset: string;
            /**
             * Analysis
             * @description Id of the analysis that is shown
             */
            analysis: string;
            /**
             * Vocabulary
             * @description Hash of its vocabulary
             */
            vocabulary: string;
            /**
             * L0
             * @description Mean number of active features per token
             */
            l0: number | null;
            /**
             * L0 Error
             * @description Standard error over contexts; null before `lmsaes eval`
             */
            l0_error: number | null;
            /**
             * Fvu
             * @description Fraction of variance unexplained
             */
            fvu: number | null;
            /**
             * Fvu Error
             * @description Standard error over contexts; null before `lmsaes eval`
             */
            fvu_error: number | null;
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
             * Ce Recovered Error
             * @description Standard error over contexts; null before `lmsaes eval`
             */
            ce_recovered_error: number | null;
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
            /**
             * First Feature
             * @description Index of the first feature analyzed
             */
            first_feature: number;
            /**
             * Features Analyzed
             * @description From the first on; fewer than `features` where the analysis is partial
             */
            features_analyzed: number;
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
            density_classes: components["schemas"]["DensityClassCounts"];
            density: components["schemas"]["DensityHistogram"];
        };
        /**
         * SAEExplanations
         * @description What is said now, by feature.
         */
        SAEExplanations: {
            /** Explanations */
            explanations: components["schemas"]["SaidOfFeature"][];
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
            /**
             * Target
             * @description The hook whose activations a transcoder gives
             */
            target: string | null;
            /** Dataset */
            dataset: string;
            /**
             * Analysis
             * @description Id of the analysis that is shown
             */
            analysis: string;
            /**
             * Vocabulary
             * @description Hash of its vocabulary
             */
            vocabulary: string;
            /**
             * L0
             * @description Mean number of active features per token
             */
            l0: number | null;
            /**
             * L0 Error
             * @description Standard error over contexts; null before `lmsaes eval`
             */
            l0_error: number | null;
            /**
             * Fvu
             * @description Fraction of variance unexplained
             */
            fvu: number | null;
            /**
             * Fvu Error
             * @description Standard error over contexts; null before `lmsaes eval`
             */
            fvu_error: number | null;
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
             * Ce Recovered Error
             * @description Standard error over contexts; null before `lmsaes eval`
             */
            ce_recovered_error: number | null;
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
            /**
             * First Feature
             * @description Index of the first feature analyzed
             */
            first_feature: number;
            /**
             * Features Analyzed
             * @description From the first on; fewer than `features` where the analysis is partial
             */
            features_analyzed: number;
        };
        /** SaidOfFeature */
        SaidOfFeature: {
            /** Feature */
            feature: number;
            /** Text */
            text: string;
            /** Author */
            author: string;
            /** By Model */
            by_model: boolean;
        };
        /**
         * SearchAll
         * @description `POST /api/search-all`
         */
        SearchAll: {
            /** Modelid */
            modelId: string;
            /**
             * Sourceset
             * @default
             */
            sourceSet: string;
            /** Text */
            text: string | string[];
            /**
             * Selectedlayers
             * @default []
             */
            selectedLayers: string[];
            /**
             * Sortindexes
             * @default []
             */
            sortIndexes: number[];
            /**
             * Ignorebos
             * @default true
             */
            ignoreBos: boolean;
            /**
             * Densitythreshold
             * @default -1
             */
            densityThreshold: number;
            /**
             * Numresults
             * @default 50
             */
            numResults: number;
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
        /**
         * SteerRequest
         * @description A prompt, and sets of edits: a completion for each beside the model's own.
         */
        SteerRequest: {
            /**
             * Prompt
             * @description A text, or token ids
             */
            prompt: string | number[];
            /** Edits */
            edits: components["schemas"]["AskedEdit"][][];
            /**
             * Tokens
             * @default 40
             */
            tokens: number;
            /**
             * Temperature
             * @default 1
             */
            temperature: number;
            /**
             * Top P
             * @default 1
             */
            top_p: number;
            /**
             * Seed
             * @default 0
             */
            seed: number;
            /** Bos */
            bos?: boolean | null;
            /**
             * Log Probabilities
             * @description Likeliest tokens to give at each place
             * @default 0
             */
            log_probabilities: number;
        };
        /** SteeredFeature */
        SteeredFeature: {
            /** Modelid */
            modelId: string;
            /** Layer */
            layer: string;
            /** Index */
            index: number | string;
            /** Strength */
            strength: number;
        };
        /** Steering */
        Steering: {
            /** Sae */
            sae: string;
            /** Feature Index */
            feature_index: number;
            /**
             * Steering Type
             * @enum {string}
             */
            steering_type: "times" | "add" | "set" | "ablate";
            /** Steering Value */
            steering_value?: number | null;
        };
        /**
         * TextFeature
         * @description A feature over a text.
         */
        TextFeature: {
            /** Index */
            index: number;
            /**
             * Score
             * @description What it is ranked by
             */
            score: number | null;
            /** Maximum */
            maximum: number;
            /** Position */
            position: number;
            /** Sum */
            sum: number;
            /**
             * Share
             * @description Of the reconstruction
             */
            share: number | null;
            /**
             * Surprise
             * @description −log₂ of the share of tokens analyzed with an activation so high
             */
            surprise: number | null;
            /**
             * Density
             * @description Over the tokens analyzed
             */
            density: number | null;
            /**
             * Values
             * @description Token by token
             */
            values: number[];
        };
        /** TextToken */
        TextToken: {
            /** Id */
            id: number;
            /** Token */
            token: string;
            /**
             * Start
             * @description Where it stands in the text, in characters
             */
            start: number | null;
            /** End */
            end: number | null;
            /** Special */
            special: boolean;
            /**
             * Log Probability
             * @description After the tokens before it, in nats; null at the first
             */
            log_probability?: number | null;
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
        /** TokenizeRequest */
        TokenizeRequest: {
            /** Text */
            text?: string | null;
            /** Token Ids */
            token_ids?: number[] | null;
            /**
             * Bos
             * @description Begin with the beginning-of-text token; null: where there is one
             */
            bos?: boolean | null;
            /** Sae */
            sae: string;
        };
        /** Tokens */
        Tokens: {
            /** Tokens */
            tokens: components["schemas"]["TextToken"][];
            /** Bos Added */
            bos_added: boolean;
        };
        /**
         * TraceRequest
         * @description A prompt and the transcoders to trace it with.
         */
        TraceRequest: {
            /** Saes */
            saes: string[];
            /** Prompt */
            prompt: string;
            /** Name */
            name?: string | null;
            /**
             * Targets
             * @description Tokens, or LAYER:INDEX@POSITION
             * @default []
             */
            targets: string[];
            /**
             * Nodes
             * @default 7500
             */
            nodes: number;
            /**
             * Node Threshold
             * @default 0.8
             */
            node_threshold: number;
            /**
             * Edge Threshold
             * @default 0.98
             */
            edge_threshold: number;
            /**
             * Verify
             * @default 0
             */
            verify: number;
            /**
             * Seed
             * @default 0
             */
            seed: number;
            /** Bos */
            bos?: boolean | null;
        };
        /** TracedLayer */
        TracedLayer: {
            /** Layer */
            layer: number;
            /**
             * Sae
             * @description Null: the MLP's whole output is an error
             */
            sae: string | null;
            /**
             * Analyzed
             * @description Whether its features have pages
             */
            analyzed: boolean;
        };
        /**
         * TranscoderSet
         * @description Transcoders of one run, which a prompt can be traced with.
         */
        TranscoderSet: {
            /** Run */
            run: string;
            /** Model */
            model: string;
            /** Saes */
            saes: string[];
            /** Layers */
            layers: number[];
        };
        /**
         * Twin
         * @description The best match in another SAE; feature null: nothing matches.
         */
        Twin: {
            /** Sae */
            sae: string;
            /** Feature */
            feature: number | null;
            /** Cosine */
            cosine: number | null;
            /** Correlation */
            correlation: number | null;
            /**
             * Score
             * @description The smaller of the two, at least 0
             */
            score: number | null;
            /**
             * Mutual
             * @description Whether the twin's twin is this feature
             */
            mutual: boolean;
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
        /**
         * WiredHead
         * @description An attention head that writes into a feature or reads it.
         */
        WiredHead: {
            /** Layer */
            layer: number;
            /** Head */
            head: number;
            /**
             * Heads
             * @description How many heads, from this one on, share these keys or values
             */
            heads: number;
            /**
             * By
             * @enum {string}
             */
            by: "output" | "query" | "key" | "value";
            /**
             * Weight
             * @description Length of the head's matrix times the direction
             */
            weight: number;
            /**
             * Ratio
             * @description Over its root mean square over all features
             */
            ratio: number;
        };
        /**
         * WiredNeuron
         * @description An MLP neuron that writes into a feature or reads it.
         */
        WiredNeuron: {
            /** Layer */
            layer: number;
            /** Neuron */
            neuron: number;
            /**
             * By
             * @enum {string}
             */
            by: "output" | "in" | "gate";
            /**
             * Weight
             * @description The neuron's weights times the direction
             */
            weight: number;
            /**
             * Ratio
             * @description Its size over its root mean square over all features
             */
            ratio: number;
        };
        /**
         * Wiring
         * @description Which heads and neurons write into a feature and which read it, from the weights.
         */
        Wiring: {
            writers: components["schemas"]["WiringSide"] | null;
            readers: components["schemas"]["WiringSide"] | null;
            /**
             * Missing
             * @description Why one of them is null
             */
            missing: string | null;
        };
        /**
         * WiringSide
         * @description Parts of the model on one side of a feature, largest ratio first.
         */
        WiringSide: {
            /** Heads */
            heads: components["schemas"]["WiredHead"][];
            /** Neurons */
            neurons: components["schemas"]["WiredNeuron"][];
        };
        /**
         * ColumnsAbout
         * @description What a file of columns says of itself.
         */
        ColumnsAbout: {
            /** Sae */
            sae: string;
            /** Analysis */
            analysis: string;
            /**
             * First Feature
             * @description Index of the feature in the first row
             */
            first_feature: number;
            /**
             * Features Analyzed
             * @description Rows of every column
             */
            features_analyzed: number;
            /**
             * Features
             * @description Of the SAE, analyzed or not
             */
            features: number;
            /**
             * Tokens Analyzed
             * @description Density is firings over these
             */
            tokens_analyzed: number;
            /**
             * Vocabulary
             * @description Whose token ids these are
             */
            vocabulary: string;
            /**
             * Kinds
             * @description What the numbers in `kind` stand for
             */
            kinds: ("regular" | "dense" | "dead")[];
            /**
             * Dense From
             * @description The density from which a feature is dense
             */
            dense_from: number;
            /**
             * Twin Saes
             * @description What the numbers in `twin_sae` stand for
             */
            twin_saes: string[];
        };
        /**
         * ContextsAbout
         * @description What a file of contexts says of itself.
         */
        ContextsAbout: {
            /** Sae */
            sae: string;
            /** Analysis */
            analysis: string;
            /** Feature */
            feature: number;
            /**
             * Group
             * @description Null where one context was asked for
             */
            group: string | null;
            /**
             * Available
             * @description Of how many these were drawn; null where it is not known
             */
            available: number | null;
            /**
             * Lower
             * @description The maxima are above this; null: no bound
             */
            lower: number | null;
            /**
             * Upper
             * @description The maxima are up to this; null: no bound
             */
            upper: number | null;
            /**
             * Stored
             * @description How many the database has of the group
             */
            stored: number;
            /**
             * Offset
             * @description How many of these stand before the first here
             */
            offset: number;
            /**
             * Scale
             * @description Activations are float16 times this
             */
            scale: number;
            /**
             * Maximum
             * @description The feature's, over all contexts
             */
            maximum: number;
            /**
             * Vocabulary
             * @description Whose token ids these are
             */
            vocabulary: string;
            /**
             * @description The feature itself, where that was asked for
             * @default null
             */
            page: components["schemas"]["Feature"] | null;
        };
        /** TraceDone */
        TraceDone: {
            /**
             * Event
             * @default graph
             * @constant
             */
            event: "graph";
            /** Name */
            name: string;
            /** Graph */
            graph: string;
        };
        /** TraceProgress */
        TraceProgress: {
            /**
             * Event
             * @default progress
             * @constant
             */
            event: "progress";
            /** What */
            what: string;
            /** Done */
            done: number;
            /** Total */
            total: number;
            /** Unit */
            unit: string;
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
            /** @description Gone */
            410: {
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
    healthz: {
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
                    "application/json": components["schemas"]["Health"];
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
            /** @description Gone */
            410: {
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
    readyz: {
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
                    "application/json": components["schemas"]["Health"];
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
            /** @description Gone */
            410: {
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
    places: {
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
                    "application/json": components["schemas"]["Places"];
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
            /** @description Gone */
            410: {
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
            /** @description Gone */
            410: {
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
            /** @description Gone */
            410: {
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
            /** @description Gone */
            410: {
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
    columns: {
        parameters: {
            query?: {
                /** @description core, tokens, histograms or all */
                part?: string;
                /** @description The analysis that is meant; 410 where it is no longer the SAE's */
                analysis?: string | null;
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
            /** @description A safetensors file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
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
            /** @description Gone */
            410: {
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
    vocabulary: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                key: string;
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
                    "application/json": string[];
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
            /** @description Gone */
            410: {
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
                /** @description The analysis that is meant; 410 where it is no longer the SAE's */
                analysis?: string | null;
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
            /** @description Gone */
            410: {
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
            /** @description Gone */
            410: {
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
            query?: {
                /** @description The analysis that is meant; 410 where it is no longer the SAE's */
                analysis?: string | null;
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
            /** @description Gone */
            410: {
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
                before?: number;
                after?: number;
                /** @description The feature itself too: one answer for its page */
                page?: boolean;
                /** @description The analysis that is meant; 410 where it is no longer the SAE's */
                analysis?: string | null;
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
            /** @description A safetensors file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
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
            /** @description Gone */
            410: {
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
    whole_context: {
        parameters: {
            query?: {
                /** @description The analysis that is meant; 410 where it is no longer the SAE's */
                analysis?: string | null;
            };
            header?: never;
            path: {
                index: number;
                context: number;
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A safetensors file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
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
            /** @description Gone */
            410: {
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
    all_explanations: {
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
                    "application/json": components["schemas"]["SAEExplanations"];
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
            /** @description Gone */
            410: {
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
    explanations: {
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
                    "application/json": components["schemas"]["FeatureExplanations"];
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
            /** @description Gone */
            410: {
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
    explain_feature: {
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
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewExplanation"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FeatureExplanations"];
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
            /** @description Gone */
            410: {
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
    notes: {
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
                    "application/json": components["schemas"]["NotesFile"];
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
            /** @description Gone */
            410: {
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
    add_notes: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NotesFile"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NotesFile"];
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
            /** @description Gone */
            410: {
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
    note: {
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
                    "application/json": components["schemas"]["Note"];
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
            /** @description Gone */
            410: {
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
    change_note: {
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
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewNote"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Note"];
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
            /** @description Gone */
            410: {
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
    explain_features: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ExplainRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
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
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Gone */
            410: {
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
    jobs: {
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
                    "application/json": components["schemas"]["Job"][];
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
            /** @description Gone */
            410: {
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
    job: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
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
                    "application/json": components["schemas"]["Job"];
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
            /** @description Gone */
            410: {
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
    cancel_job: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
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
                    "application/json": components["schemas"]["Job"];
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
            /** @description Gone */
            410: {
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
    lists: {
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
                    "application/json": components["schemas"]["FeatureList"][];
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
            /** @description Gone */
            410: {
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
    new_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ListContents"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FeatureList"];
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
            /** @description Gone */
            410: {
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
    one_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
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
                    "application/json": components["schemas"]["FeatureList"];
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
            /** @description Gone */
            410: {
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
    change_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangedList"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FeatureList"];
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
            /** @description Gone */
            410: {
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
    remove_list: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
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
                    "application/json": components["schemas"]["FeatureList"];
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
            /** @description Gone */
            410: {
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
    export_feature: {
        parameters: {
            query?: {
                format?: "json" | "html" | "python" | "vector" | "npy" | "safetensors";
                /** @description The analysis that is meant; 410 where it is no longer the SAE's */
                analysis?: string | null;
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
                    "text/plain": string;
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
            /** @description Gone */
            410: {
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
    compare: {
        parameters: {
            query: {
                /** @description Name of an SAE */
                a: string;
                /** @description Name of another SAE of the same hook */
                b: string;
            };
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
                    "application/json": components["schemas"]["MatchedSAEs"];
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
            /** @description Gone */
            410: {
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
    metrics: {
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
                    "application/json": components["schemas"]["Metrics"];
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
            /** @description Gone */
            410: {
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
    tokenize_text: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TokenizeRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Tokens"];
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
            /** @description Gone */
            410: {
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
    activations: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the SAE, `run:sae` */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ActivationsRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Activations"];
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
            /** @description Gone */
            410: {
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
    compare_activations: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CompareRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Comparison"];
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
            /** @description Gone */
            410: {
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
    loss_effect: {
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
        requestBody: {
            content: {
                "application/json": components["schemas"]["LossEffectRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LossEffect"];
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
            /** @description Gone */
            410: {
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
    steer: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SteerRequest"];
            };
        };
        responses: {
            /** @description Server-sent events: a TokenEvent, CompletionEvent or ErrorEvent each */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
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
            /** @description Gone */
            410: {
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
    graphs: {
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
                    "application/json": components["schemas"]["GraphSummary"][];
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
            /** @description Gone */
            410: {
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
    trace_prompt: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TraceRequest"];
            };
        };
        responses: {
            /** @description Server-sent events: TraceProgress, then TraceDone or an ErrorEvent */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
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
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Gone */
            410: {
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
    graph: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the graph */
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
                    "application/json": components["schemas"]["Graph"];
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
            /** @description Gone */
            410: {
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
    remove_graph: {
        parameters: {
            query?: {
                graph?: string | null;
            };
            header?: never;
            path: {
                /** @description Name of the graph */
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
                    "application/json": components["schemas"]["GraphSummary"];
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
            /** @description Gone */
            410: {
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
    change_groups: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the graph */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewGroups"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Graph"];
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
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Gone */
            410: {
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
    graph_nodes: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the graph */
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
                    "application/json": components["schemas"]["GraphNodes"];
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
            /** @description Gone */
            410: {
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
    graph_edges: {
        parameters: {
            query?: {
                /** @description Edges that hold this share of the influence */
                threshold?: number;
                limit?: number;
                /** @description Id of the graph that is meant; 410 for another one's name */
                graph?: string | null;
            };
            header?: never;
            path: {
                /** @description Name of the graph */
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
                    "application/json": components["schemas"]["GraphEdges"];
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
            /** @description Gone */
            410: {
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
    node_edges: {
        parameters: {
            query?: {
                limit?: number;
                /** @description Id of the graph that is meant; 410 for another one's name */
                graph?: string | null;
            };
            header?: never;
            path: {
                id: string;
                /** @description Name of the graph */
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
                    "application/json": components["schemas"]["NodeEdges"];
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
            /** @description Gone */
            410: {
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
    export_graph: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the graph */
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
                    "application/json": Record<string, never>;
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
            /** @description Gone */
            410: {
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
    graphs_of_feature: {
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
                    "application/json": components["schemas"]["FeatureInGraphs"][];
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
            /** @description Gone */
            410: {
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
    transcoder_sets: {
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
                    "application/json": components["schemas"]["TranscoderSet"][];
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
            /** @description Gone */
            410: {
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
    split_edge: {
        parameters: {
            query: {
                source: string;
                target: string;
                /** @description Id of the graph that is meant; 410 for another one's name */
                graph?: string | null;
            };
            header?: never;
            path: {
                /** @description Name of the graph */
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
                    "application/json": components["schemas"]["EdgeSplit"];
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
            /** @description Gone */
            410: {
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
    intervene_in_graph: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Name of the graph */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["InterventionRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Intervention"];
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
            /** @description Gone */
            410: {
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
    neuronpedia_feature: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                model: string;
                source: string;
                index: number;
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
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    neuronpedia_activation: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ActivationNew"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    } | {
                        [key: string]: unknown;
                    }[];
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
            /** @description Gone */
            410: {
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
    neuronpedia_search: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SearchAll"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    neuronpedia_steer: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NeuronpediaSteer"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
                    "application/json": string[];
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
            /** @description Gone */
            410: {
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
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    dictionary_feature: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                index: string;
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
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    dictionary_feature_custom: {
        parameters: {
            query: {
                input_text: string;
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
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    dictionary_custom: {
        parameters: {
            query: {
                input_text: string;
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
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    dictionary_interpret: {
        parameters: {
            query: {
                type: string;
                custom_interpretation?: string;
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
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
    model_generate: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Generate"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
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
            /** @description Gone */
            410: {
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
