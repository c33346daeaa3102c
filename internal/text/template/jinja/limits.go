package jinja

import "fmt"

// What a template may use. The figures are far above any real template (40 messages of 200 words, which fill Gemma 2's context, cost the
// hungriest golden template 3500 steps and 240 KB) and far below what hurts: the step limit is reached in about a second.
const (
	maxSource    = 1 << 20 // bytes of template source
	maxNesting   = 200     // blocks and expressions inside each other in the source
	maxChain     = 500     // operations in a row: a + b + c
	maxRange     = 100_000 // length of range(), as in Jinja's sandbox
	maxIntBits   = 4096    // size of an integer
	maxPrecision = 1000    // digits behind the point that a format may ask for
)

type limits struct {
	steps int // nodes evaluated, items visited, 16-byte pieces of text scanned
	bytes int // of all values ever made in one render, output included; nothing is given back
	depth int // calls, blocks and values inside each other
}

var defaultLimits = limits{steps: 2_000_000, bytes: 64 << 20, depth: 1000}

func limitMessage(what string, limit int) string {
	return fmt.Sprintf("want at most %d %s; make the template simpler or the conversation shorter", limit, what)
}

// spend takes n steps. It reports false when there are none left or an error has occurred: the caller should stop.
func (r *renderer) spend(n int) bool {
	r.steps -= n
	if r.steps < 0 {
		r.fail(Limit, "%s", limitMessage("steps", defaultLimits.steps))
	}
	return r.err == nil
}

// scan pays for looking at n bytes of text.
func (r *renderer) scan(n int) bool { return r.spend(n/16 + 1) }

// alloc takes n bytes before they are allocated, and reports false as spend does.
func (r *renderer) alloc(n int) bool {
	if n < 0 || n > r.bytes {
		r.bytes = 0
		r.fail(Limit, "%s", limitMessage("bytes", defaultLimits.bytes))
		return false
	}
	r.bytes -= n
	return r.err == nil
}

// allocN is alloc for count pieces of size bytes, whose product may not fit an int.
func (r *renderer) allocN(count, size int) bool {
	if size > 0 && count > r.bytes/size {
		return r.alloc(r.bytes + 1)
	}
	return r.alloc(max(count, 0) * size)
}

// enter goes one level deeper. A true result must be followed by leave.
func (r *renderer) enter() bool {
	if r.depth <= 0 {
		r.fail(Limit, "%s", limitMessage("levels", defaultLimits.depth))
		return false
	}
	if !r.spend(1) {
		return false
	}
	r.depth--
	return true
}

func (r *renderer) leave() { r.depth++ }
