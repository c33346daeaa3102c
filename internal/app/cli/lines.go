package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line of input, in bytes.
const maxLine = 64 << 20

// eachLine reads JSON lines from stdin and writes what serve makes of each as one JSON line, in order. A line that fails gives
// {"error": "..."}; the error of eachLine then says how many did. serve gets the number of the line, from 0.
func eachLine[Req, Resp any](ctx context.Context, env *Env, serve func(ctx context.Context, line int, r *Req) (Resp, error)) error {
	if env.StdinTTY {
		if err := write(env.Stderr, "reading JSON lines from the terminal (Ctrl-D ends them; --help shows what they hold)\n"); err != nil {
			return err
		}
	}
	in, out := bufio.NewReader(env.Stdin), json.NewEncoder(env.Stdout)
	out.SetEscapeHTML(false)
	failed, line := 0, 0
	for ; ; line++ {
		data, err := await(ctx, func() ([]byte, error) { return readLine(in, maxLine) })
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLine) {
			return err
		}
		var answer any
		if err == nil {
			answer, err = serveLine(ctx, line, data, serve)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			answer = map[string]string{"error": err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d lines failed", failed, line)
	}
	return nil
}

func serveLine[Req, Resp any](ctx context.Context, line int, data []byte, serve func(context.Context, int, *Req) (Resp, error)) (any, error) {
	var r Req
	if err := decodeLine(data, &r); err != nil {
		return nil, err
	}
	return serve(ctx, line, &r)
}

// errLine is a fault of one line, after which the next can be read.
var errLine = errors.New("line")

// readLine reads a line of at most limit bytes without its end. io.EOF comes alone, after the last one. Of a longer line it
// keeps nothing, and the next can be read.
func readLine(in *bufio.Reader, limit int) (line []byte, err error) {
	size := 0
	for {
		part, err := in.ReadSlice('\n')
		size += len(part)
		if line = append(line, part...); size > limit {
			line = line[:0]
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil && size == 0:
			return nil, io.EOF
		case size > limit:
			return nil, fmt.Errorf("%w: want at most %d bytes, found %d", errLine, limit, size)
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}

// decodeLine reads one JSON object, strictly: nothing in it is ignored.
func decodeLine(data []byte, r any) error {
	if !utf8.Valid(data) {
		return errors.New("want a JSON object in UTF-8, found bytes that are none")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("want a JSON object, found an empty line")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return explain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("want one JSON object on a line, found more after it")
	}
	return nil
}

// explain words an error of encoding/json for people who do not know Go.
func explain(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("want a JSON object, found %s", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: want %s, found %s", kind.Field, goKinds.Replace(kind.Type.String()), kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("want a JSON object, found only its beginning")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// goKinds names what fields hold.
var goKinds = strings.NewReplacer("[]int32", "a list of ids", "int32", "an id", "string", "a text", "bool", "true or false",
	"[]systemgemma.Message", "a list of messages", "systemgemma.Message", "a message")
