package openai

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// Bounds of the responses that are remembered; the oldest go first.
const (
	maxStored      = 1000
	maxStoredBytes = 32 << 20
)

// store remembers responses, in memory only, for GET and previous_response_id. Who has another API key doesn't see them.
type store struct {
	mu    sync.Mutex
	byID  map[string]*stored // guarded by mu
	order []string           // guarded by mu; the oldest first
	bytes int                // guarded by mu
}

// stored is one response, and the conversation up to it, instructions apart.
type stored struct {
	key      string // name of the API key
	body     json.RawMessage
	messages []tools.Message
	bytes    int
}

func newStore() *store { return &store{byID: map[string]*stored{}} }

func (s *store) add(id string, x *stored) {
	x.bytes = len(x.body)
	for _, m := range x.messages {
		x.bytes += len(m.Content) + 100
		for _, c := range m.Calls {
			x.bytes += len(c.Arguments) + 100
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = x
	s.order = append(s.order, id)
	s.bytes += x.bytes
	for len(s.order) > 1 && (len(s.order) > maxStored || s.bytes > maxStoredBytes) {
		s.remove(s.order[0])
	}
}

// remove forgets a response. s.mu is held.
func (s *store) remove(id string) {
	s.bytes -= s.byID[id].bytes
	delete(s.byID, id)
	for i, x := range s.order {
		if x == id {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
}

// find gives a response of that key's.
func (s *store) find(id, key, param string) (*stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byID[id]
	if x == nil || x.key != key {
		return nil, notStored(id, param)
	}
	return x, nil
}

func (s *store) delete(id, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.byID[id]; x == nil || x.key != key {
		return notStored(id, "")
	}
	s.remove(id)
	return nil
}

func notStored(id, param string) error {
	e := problem.New(http.StatusNotFound, "response_not_found", "response %.80q is not remembered: the server keeps the last %d, until it ends, unless store is false", id, maxStored)
	e.Param = param
	return e
}
