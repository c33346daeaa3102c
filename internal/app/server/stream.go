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
	buf   []byte      // guarded by mu; of one piece, which serves again
	err   error       // guarded by mu; of the first write that failed
	timer *time.Timer // guarded by mu; nil: no pings
	ping  time.Duration
	over  bool      // guarded by mu
	sent  time.Time // guarded by mu; the last write
	until time.Time // guarded by mu; the deadline of writes

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
	return append(append(eventHead(b, name), body...), "\n\n"...)
}

// eventHead appends what comes before an event's data.
func eventHead(b []byte, name string) []byte {
	if name != "" {
		b = append(append(append(b, "event: "...), name...), '\n')
	}
	return append(b, "data: "...)
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

// SendText sends one piece: a template with its texts.
func (s *Stream) SendText(t *Template, texts ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ndjson {
		s.buf = append(t.append(s.buf[:0], texts...), '\n')
	} else {
		s.buf = append(t.append(eventHead(s.begun(), t.Event), texts...), "\n\n"...)
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

// alive sends a comment after a silence. It is called when there may have been one: a timer that each piece set anew would cost more.
func (s *Stream) alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.err != nil {
		return
	}
	if rest := s.ping - time.Since(s.sent); rest > 0 {
		s.timer.Reset(rest)
		return
	}
	s.buf = append(s.begun(), s.sign...)
	_ = s.write() // the next piece tells
	s.timer.Reset(s.ping)
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
	now := time.Now()
	if next := now.Add(s.limit); next.Sub(s.until) > s.limit/8 { // not for each token
		s.until = next
		_ = s.c.SetWriteDeadline(next) // a test's writer has none
	}
	s.sent = now
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.c.Flush()
	}
	s.err = gone(err)
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
