package native

import (
	_ "embed"
	"net/http"
)

// document describes every endpoint of all dialects. A test holds it and the routes against each other.
//
//go:embed openapi.yaml
var document []byte

// openAPI answers GET /openapi.yaml.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(document)
	return err
}
