package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// MaxJSON bounds one JSON answer.
const MaxJSON = 32 << 20

// JSON sends a request and decodes its answer into v. It returns the answer's header.
func (c *Client) JSON(ctx context.Context, r Request, v any) (http.Header, error) {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer closeBody(resp)
	u := r.URL
	if resp.Request != nil {
		u = resp.Request.URL
	}
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		return nil, c.Strange(r.Subject, u, "it is a web page (%s) where JSON was expected", clean(t))
	}
	body := io.LimitReader(resp.Body, MaxJSON+1)
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, c.unreachable(r.Subject, u, fmt.Errorf("the answer broke off after %d bytes: %w", len(b), err))
	}
	if len(b) > MaxJSON {
		return nil, c.Strange(r.Subject, u, "its JSON is longer than %d MiB", MaxJSON>>20)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, c.Strange(r.Subject, u, "it is no JSON as expected: %w (it begins with %.60q)", err, b)
	}
	return resp.Header, nil
}
