// Package compat asks a running `systemgemma serve`, with the embedded model, by the clients that people use: Go, JavaScript (Node 20) and
// Python programs for OpenAI's, Anthropic's and Ollama's APIs, and the evaluation harness lm-eval. It is a module of its own, so that the program
// and its library need nothing of that.
//
//	cd tests/compat && go test ./...
//
// Clients in JavaScript and Python are fetched in exact versions (js/package.json, python/requirements.txt). Where node, npm or python3 is
// missing their tests are skipped, unless SYSTEMGEMMA_WANT_CLIENTS is set: then that is a failure. SYSTEMGEMMA_LOAD_SECONDS is how long the
// load test takes; 5 unless set.
package compat
