package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Stream is an answer in pieces, each sent at once: server-sent events, or a line of JSON each (NDJSON).
//
// The head of the answer goes out with the first piece, so a handler may still return an error before. A server-sent stream that
// has been silent for Config.Ping sends a comment, or an event of its own, so that nobody in between cuts it while a prompt is being
// computed. A client that does not read ends the stream by an error after Config.Write. Safe for concurrent use.
type Stream struct {
	w      *writer
	c      *http.ResponseController
	ndjson bool
	limit  time.Duration // of a write

	mu    sync.Mutex
	buf   []byte      // guarded by mu
	err   error       // guarded by mu; of the first write that failed
	timer *time.Timer // guarded by mu; nil: no pings
	ping  time.Duration
	over  bool // guarded by mu

	opening []byte // guarded by mu; goes out before the first piece
	sign    []byte // of life, after a silence
}

// NewEvents begins a stream of server-sent events. Close must be called.
func NewEvents(w http.ResponseWriter, r *http.Request) *Stream {
	return newEvents(w, r, nil, []byte(": working\n\n"))
}

// Event is a server-sent event.
type Event struct {
	Name string
	Data any // JSON
}

// NewNamedEvents is NewEvents of a stream whose first piece is opening, which goes out with whatever comes first, and that says by alive
// that it lives, instead of a comment.
func NewNamedEvents(w http.ResponseWriter, r *http.Request, opening, alive Event) (*Stream, error) {
	first, err := Marshal(opening.Data)
	if err != nil {
		return nil, err
	}
	sign, err := Marshal(alive.Data)
	if err != nil {
		return nil, err
	}
	return newEvents(w, r, event(nil, opening.Name, first), event(nil, alive.Name, sign)), nil
}

func newEvents(w http.ResponseWriter, r *http.Request, opening, sign []byte) *Stream {
	s := newStream(r)
	s.opening, s.sign = opening, sign
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no")
	s.ping = callOf(r).server.cfg.Ping
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.ping, s.alive)
	return s
}

// event appends a server-sent event to b.
func event(b []byte, name string, body []byte) []byte {
	if name != "" {
		b = append(append(append(b, "event: "...), name...), '\n')
	}
	return append(append(append(b, "data: "...), body...), "\n\n"...)
}

// NewLines begins a stream of lines of JSON. Close must be called.
func NewLines(w http.ResponseWriter, r *http.Request) *Stream {
	s := newStream(r)
	s.ndjson = true
	w.Header().Set("Content-Type", "application/x-ndjson")
	return s
}

func newStream(r *http.Request) *Stream {
	c := callOf(r)
	return &Stream{w: c.w, c: http.NewResponseController(c.w), limit: c.server.cfg.Write}
}

// Send sends one piece.
func (s *Stream) Send(x any) error { return s.SendEvent("", x) }

// SendEvent sends one piece with a name, as server-sent events may have. The error is that of a client who has left.
func (s *Stream) SendEvent(name string, x any) error {
	body, err := Marshal(x)
	if err != nil {
		return err
	}
	return s.SendRaw(name, body)
}

// SendRaw is SendEvent of JSON, without line ends, that is written already.
func (s *Stream) SendRaw(name string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ndjson {
		s.buf = append(append(s.buf[:0], body...), '\n')
	} else {
		s.buf = event(s.begun(), name, body)
	}
	return s.write()
}

// Done sends OpenAI's last event, data: [DONE].
func (s *Stream) Done() error { return s.SendRaw("", []byte("[DONE]")) }

// Begun says whether the head of the answer has been sent, so that an error must be sent as a piece.
func (s *Stream) Begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.status != 0
}

// Close ends the pings. It must be called before the handler returns.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.w.status == 0 { // an error will be the answer
		for _, h := range []string{"Content-Type", "Cache-Control", "X-Accel-Buffering"} {
			s.w.Header().Del(h)
		}
	}
}

// alive sends a comment after a silence.
func (s *Stream) alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.err != nil {
		return
	}
	s.buf = append(s.begun(), s.sign...)
	_ = s.write() // the next piece tells
}

// begun is an empty buffer, or one with what must come first. s.mu is held.
func (s *Stream) begun() []byte {
	b := append(s.buf[:0], s.opening...)
	s.opening = nil
	return b
}

// write sends buf. s.mu is held.
func (s *Stream) write() error {
	if s.err != nil {
		return s.err
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(s.limit)) // a test's writer has none
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.c.Flush()
	}
	if s.err = gone(err); s.err == nil && s.timer != nil {
		s.timer.Reset(s.ping)
	}
	return s.err
}

// Failed ends a handler whose stream met an error: before the first piece the error is the answer, later it is the last piece, by
// send, unless the client has left.
func (s *Stream) Failed(err error, send func(*problem.Error) error) error {
	if err == nil || !s.Begun() {
		return err
	}
	s.mu.Lock()
	broken := s.err != nil
	s.mu.Unlock()
	p := problem.Of(err)
	if !broken && p.Status != problem.StatusClientGone {
		_ = send(p) // the client has left
	}
	return err
}
