package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// clientVariable makes a client of the test program: the address that it asks.
const clientVariable = "SYSTEMGEMMA_NUMBERS_CLIENT"

// numbersClient is the other side of BenchmarkNumbersTokenCPU, in a process of its own, so that its work is not counted: it posts what
// follows a number on a line of in, as often at a time, and answers with the number of events that came.
func numbersClient(url string, in io.Reader, out io.Writer) error {
	client := http.Client{Transport: &http.Transport{ReadBufferSize: 1 << 20}}
	defer client.CloseIdleConnections()
	ask := func(body string) (events int, err error) {
		answer, err := client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		var text []byte
		for part := make([]byte, 1<<20); err == nil; {
			time.Sleep(20 * time.Millisecond)
			var n int
			n, err = answer.Body.Read(part)
			text = append(text, part[:n]...)
		}
		_ = answer.Body.Close()
		if err != io.EOF || answer.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s: %s: %w", answer.Status, text, err)
		}
		return bytes.Count(text, []byte("data: {")), nil
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		count, body, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		var events atomic.Int64
		failed := make([]error, max(n, 0))
		for i := range failed {
			all.Go(func() {
				var k int
				k, failed[i] = ask(body)
				events.Add(int64(k))
			})
		}
		all.Wait()
		if err := errors.Join(failed...); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, "events", events.Load()); err != nil {
			return err
		}
	}
	return nil
}
