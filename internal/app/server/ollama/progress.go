package ollama

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// status is a line of a pull, a push or a creation.
type status struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"` // of the file that is moved, or its name
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// layerStatus tells how much of a layer is there.
func layerStatus(verb string, l ollamastore.Layer, done int64) status {
	hex := l.Digest.Hex()
	return status{Status: verb + " " + hex[:min(len(hex), 12)], Digest: string(l.Digest), Total: l.Size, Completed: done}
}

// teller tells a client how far its work is.
type teller struct {
	send func(status)
	now  func() time.Time

	mu   sync.Mutex
	last time.Time // guarded by mu; of the last line of progress
}

// note tells one thing.
func (t *teller) note(text string) { t.send(status{Status: text}) }

// waiting tells of a pause.
func (t *teller) waiting(wait time.Duration, why error) {
	t.note(fmt.Sprintf("%v; trying again in %s", why, wait))
}

// pace is how often progress is told.
const pace = 200 * time.Millisecond

// progress tells how far something is, not too often, but always its end.
func (t *teller) progress(x status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); x.Completed >= x.Total || now.Sub(t.last) >= pace {
		t.last = now
		t.send(x)
	}
}

// told does work that tells how far it is: in lines of which the last is success or an error, or by that alone at the end. What fails
// before the first line is an answer of its own.
func (d *dialect) told(w http.ResponseWriter, r *http.Request, stream bool, work func(*teller) error) error {
	t := &teller{send: func(status) {}, now: d.now}
	if !stream {
		if err := work(t); err != nil {
			return err
		}
		return noted(w)
	}
	out := server.NewLines(w, r)
	defer out.Close()
	t.send = func(x status) { _ = out.Send(x) } // a client who has left ends r.Context()
	if err := work(t); err != nil {
		return out.Failed(err, func(e *problem.Error) error { return out.Send(failed(e)) })
	}
	return out.Send(status{Status: "success"})
}
