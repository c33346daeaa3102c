package ollama

import (
	"net/http"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// moving is what a pull and a push are told alike.
type moving struct {
	name     string
	stream   bool
	insecure bool // a registry is asked by http
}

// readMoving takes it from a request. Other members are left to the caller.
func readMoving(r *http.Request) (f *option.Fields, m moving, err error) {
	if f, err = server.ReadJSON(r); err != nil {
		return nil, m, err
	}
	if m.name, err = wanted(f); err != nil {
		return nil, m, err
	}
	stream, given, err := f.Bool("stream")
	if err != nil {
		return nil, m, err
	}
	m.stream = !given || stream
	if m.insecure, _, err = f.Bool("insecure"); err != nil {
		return nil, m, err
	}
	for _, x := range []string{"username", "password"} {
		if value, _, err := f.Text(x); err != nil {
			return nil, m, err
		} else if value != "" {
			return nil, m, problem.Unsupported(x, "want none: a registry knows the server by its key, a hub by its token")
		}
	}
	return f, m, nil
}

// maxMoving is how many models are pulled and pushed at a time.
const maxMoving = 4

// move is told of work that moves a model here or away, which few may do at a time.
func (d *dialect) move(w http.ResponseWriter, r *http.Request, stream bool, work func(*teller) error) error {
	select {
	case d.moving <- struct{}{}:
		defer func() { <-d.moving }()
	default:
		return problem.Later(http.StatusServiceUnavailable, problem.CodeBusy, 30*time.Second, "want at most %d pulls and pushes at a time; try again later", maxMoving)
	}
	return d.told(w, r, stream, work)
}
