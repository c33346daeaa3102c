package chat

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
)

// maxInput bounds one input in plain mode, in bytes.
const maxInput = 64 << 20

// Streams are what a plain chat reads and writes.
type Streams struct {
	In         io.Reader
	Out        io.Writer       // answers and what commands show
	Err        io.Writer       // prompts, notes and errors
	Status     io.Writer       // a terminal that shows how far a long prompt is read; nil: none
	Prompt     bool            // a person types: show prompts, and let an interrupt stop the answer only
	Interrupts <-chan struct{} // one for each Ctrl-C
}

// ErrInterrupted ends a plain chat that no person types into.
var ErrInterrupted = errors.New("interrupted")

// ErrFailed ends a plain chat that no person typed into, some of whose inputs failed.
var ErrFailed = errors.New("not all inputs were answered")

// Plain reads inputs line by line until they end. A line that ends with \ goes on in the next; a text between """ has as many
// lines as it likes.
func Plain(ctx context.Context, s *Session, st Streams) error {
	p := plain{Streams: st, session: s, ready: make(chan struct{}, 1), inputs: make(chan input, 1)}
	defer close(p.ready) // ends read, once the input that it waits for has come
	p.ready <- struct{}{}
	go p.read()
	return p.loop(ctx)
}

type plain struct {
	Streams
	session *Session
	failed  bool
	ready   chan struct{} // one for each input that may be asked for
	inputs  chan input    // one for each of ready, until one has an error
}

// input is what a person or pipe said. err is io.EOF with the last one, which may be empty.
type input struct {
	text string
	err  error
}

func (p *plain) read() {
	lines := bufio.NewReader(p.In)
	for range p.ready {
		p.prompt(firstPrompt)
		text, err := readInput(lines, p.prompt)
		p.inputs <- input{text, err}
		if err != nil {
			return
		}
	}
}

func (p *plain) prompt(text string) {
	if p.Prompt {
		_, _ = io.WriteString(p.Err, text) // a terminal that is gone shows at the next answer
	}
}

func (p *plain) loop(ctx context.Context) error {
	armed := false // one more interrupt quits
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.Interrupts:
			if !p.Prompt {
				return ErrInterrupted
			}
			if armed {
				return nil
			}
			armed = true
			p.prompt("\n(Ctrl-C again or Ctrl-D quits)\n" + firstPrompt)
		case in := <-p.inputs:
			armed = false
			quit, err := p.submit(ctx, in.text)
			switch {
			case err != nil:
				return err
			case in.err != nil && !errors.Is(in.err, io.EOF):
				return in.err
			case quit || in.err != nil:
				return p.end()
			}
			p.ready <- struct{}{}
		}
	}
}

// end is the error of a chat that ended as it should.
func (p *plain) end() error {
	p.prompt("\n")
	if p.failed && !p.Prompt {
		return ErrFailed
	}
	return nil
}

func (p *plain) submit(ctx context.Context, input string) (quit bool, err error) {
	r := p.session.Submit(input)
	if err := p.show(r, p.Out); err != nil || r.Quit {
		return r.Quit, err
	}
	if r.Model != "" {
		return false, p.show(p.session.Use(p.session.Open(ctx, r.Model)), p.Out)
	}
	if !r.Answer {
		return false, nil
	}
	return false, p.answer(ctx)
}

// answer streams one answer; an interrupt stops it.
func (p *plain) answer(ctx context.Context) error {
	actx, cancel := context.WithCancel(ctx)
	defer cancel()
	finished := make(chan struct{})
	interrupted := make(chan bool, 1)
	go func() {
		select {
		case <-p.Interrupts:
			cancel()
			interrupted <- true
		case <-finished:
			interrupted <- false
		}
	}()
	result, err, writeErr := p.stream(actx)
	close(finished)
	stopped := <-interrupted
	if err := errors.Join(writeErr, p.show(p.session.Finish(result, err), p.Err)); err != nil {
		return err
	}
	if stopped && !p.Prompt {
		return ErrInterrupted
	}
	return ctx.Err()
}

func (p *plain) stream(ctx context.Context) (result *systemgemma.Result, err, writeErr error) {
	status := terminal.StartStatus(p.Status, "reading the prompt")
	defer status.Stop()
	last := "\n"
	for e, eventErr := range p.session.Answer(ctx) {
		result, err = e.Result, eventErr
		if e.Progress != nil {
			status.Set("%s", reading(e.Progress))
			continue
		}
		if e.Text == "" {
			continue
		}
		status.Stop()
		last = e.Text
		if _, writeErr = io.WriteString(p.Out, e.Text); writeErr != nil {
			return result, err, writeErr
		}
	}
	if !strings.HasSuffix(last, "\n") {
		_, writeErr = io.WriteString(p.Out, "\n")
	}
	return result, err, writeErr
}

// show writes a reply: its text to w, its error to Err.
func (p *plain) show(r Reply, w io.Writer) error {
	if r.Text != "" {
		if _, err := fmt.Fprintln(w, r.Text); err != nil {
			return err
		}
	}
	if r.Err != nil {
		p.failed = true
		if _, err := fmt.Fprintln(p.Err, "error:", r.Err); err != nil {
			return err
		}
	}
	return nil
}

const (
	firstPrompt = ">>> "
	morePrompt  = "... "
)

// readInput reads one input. io.EOF comes with the last one.
func readInput(lines *bufio.Reader, prompt func(string)) (string, error) {
	line, err := readLine(lines)
	text, block := strings.CutPrefix(line, `"""`)
	var b strings.Builder
	for {
		var ended bool
		switch {
		case block:
			text, ended = strings.CutSuffix(text, `"""`)
		default:
			text, ended = strings.CutSuffix(text, `\`)
			ended = !ended
		}
		b.WriteString(text)
		if ended || err != nil {
			return b.String(), err
		}
		if b.Len() > maxInput {
			return "", fmt.Errorf("input: want at most %d bytes", maxInput)
		}
		b.WriteByte('\n')
		prompt(morePrompt)
		text, err = readLine(lines)
	}
}

// readLine reads a line without its end.
func readLine(lines *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := lines.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxInput {
			continue
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			err = fmt.Errorf("input line: want at most %d bytes", maxInput)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), err
	}
}
