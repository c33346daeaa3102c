package engine

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// store keeps caches of finished requests in a folder, for later runs of the program. A file is
//
//	magic, the model's id (32 bytes), the number of tokens (uint32), the tokens (int32 each), the cache (gemma2.Cache.Store),
//	SHA-256 of all that
//
// named by a hash of id and tokens, written under another name first, readable by its owner only. Other models' files in the
// folder are left alone. A damaged file is deleted when it is found out.
type store struct {
	dir     string
	id      [32]byte // of the model, its arithmetic and the type of keys and values
	limit   int64    // bytes of this model's files
	context int      // most tokens of a file
	pool    *gemma2.Pool

	mu     sync.Mutex
	files  []stored  // guarded by mu; least recently used first
	saving bool      // guarded by mu; a file is being written
	saved  sync.Cond // saving has become false
	err    error     // guarded by mu; of the last save
}

// stored is a file and the tokens that it holds.
type stored struct {
	path   string
	tokens []int32
	first  int // local pages before this one are gone
	bytes  int64
}

const (
	storeMagic = "systemgemma kv 1\n"
	storeExt   = ".kv"
	// storeWorth is the number of tokens that are worth a file, or reading one.
	storeWorth = gemma2.PageTokens
)

// openStore makes the folder if need be and reads the beginnings of its files.
func openStore(dir string, id [32]byte, limit int64, pool *gemma2.Pool, context int) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("prompt cache: %w", err)
	}
	s := &store{dir: dir, id: id, limit: limit, pool: pool, context: context}
	s.saved.L = &s.mu
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("prompt cache: %w", err)
	}
	type aged struct {
		stored
		used time.Time
	}
	var found []aged
	for _, d := range list {
		if !strings.HasSuffix(d.Name(), storeExt) || !d.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, d.Name())
		info, err := d.Info()
		if err != nil {
			continue // gone meanwhile
		}
		if tokens, first, err := s.header(path); err == nil {
			found = append(found, aged{stored{path, tokens, first, info.Size()}, info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b aged) int { return a.used.Compare(b.used) })
	for _, f := range found {
		s.files = append(s.files, f.stored)
	}
	return s, nil
}

var errOtherModel = errors.New("not a cache of this model")

// header reads the tokens of the file at path and the index of its first local page.
func (s *store) header(path string) (tokens []int32, first int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() // only read
	r := bufio.NewReader(f)
	if tokens, err = s.readHeader(r); err != nil {
		return nil, 0, err
	}
	var page uint32
	err = binary.Read(r, binary.LittleEndian, &page)
	return tokens, int(min(page, 1<<30)), err
}

func (s *store) readHeader(r io.Reader) ([]int32, error) {
	head := make([]byte, len(storeMagic)+len(s.id)+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[len(head)-4:])
	if !bytes.HasPrefix(head, []byte(storeMagic)) || !bytes.Equal(head[len(storeMagic):len(head)-4], s.id[:]) || n == 0 || int64(n) > int64(s.context) {
		return nil, errOtherModel
	}
	tokens := make([]int32, n)
	return tokens, binary.Read(r, binary.LittleEndian, tokens)
}

// match finds the file with the longest beginning of tokens, at most most of them. s.mu is held.
func (s *store) match(tokens []int32, most int) (i, n int) {
	i = -1
	for j, f := range s.files {
		if k := min(common(f.tokens, tokens), most); k > n && s.pool.Sees(k) >= f.first {
			i, n = j, k
		}
	}
	return i, n
}

// load reads the file with the longest beginning of tokens if it is worth it: when more than have of them are known from it. A
// file that can't be used is deleted, and the error says why.
func (s *store) load(tokens []int32, most, have int) ([]int32, *gemma2.Cache, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, n := s.match(tokens, most)
	if i < 0 || n-have < storeWorth {
		return nil, nil, nil
	}
	f := s.files[i]
	s.files = slices.Delete(s.files, i, i+1)
	c, err := s.read(f)
	switch {
	case errors.Is(err, gemma2.ErrKVMemory):
		s.files = append(s.files, f)
		return nil, nil, nil // it is computed when there is memory
	case err != nil:
		return nil, nil, errors.Join(fmt.Errorf("prompt cache %s: %w", f.path, err), remove(f.path))
	}
	s.files = append(s.files, f)
	now := time.Now()
	_ = os.Chtimes(f.path, now, now) // only the order of deletion would be less good
	return f.tokens, c, nil
}

func (s *store) read(f stored) (c *gemma2.Cache, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	h := sha256.New()
	b := bufio.NewReaderSize(file, 1<<20)
	r := io.TeeReader(b, h)
	tokens, err := s.readHeader(r)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(tokens, f.tokens) {
		return nil, errors.New("another program has replaced it")
	}
	size := f.bytes - int64(len(storeMagic)+len(s.id)+4+4*len(tokens)+sha256.Size)
	if c, err = s.pool.Restore(r, len(tokens), size); err != nil {
		return nil, err
	}
	sum := make([]byte, sha256.Size)
	if _, err = io.ReadFull(b, sum); err == nil && !bytes.Equal(sum, h.Sum(nil)) {
		err = errors.New("its checksum is wrong: the file is damaged, and deleted")
	}
	if err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// begin says whether tokens are worth a file, enough of them and more than a file holds already, and that none is being
// written; then save must follow.
func (s *store) begin(tokens []int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, n := s.match(tokens, len(tokens))
	if s.saving || len(tokens)-n < storeWorth {
		return false
	}
	s.saving = true
	return true
}

// save writes a cache, which it frees.
func (s *store) save(tokens []int32, c *gemma2.Cache) {
	f, err := s.create(tokens, c)
	c.Free()
	s.end(f, err)
}

// end ends what begin began, with a file or an error.
func (s *store) end(f *stored, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saving = false
	s.saved.Broadcast()
	if err == nil {
		err = s.add(f)
	}
	if err != nil {
		s.err = fmt.Errorf("prompt cache: %w", err)
	}
}

// busy says whether a file is being written, so that its pages are not free.
func (s *store) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saving
}

// wait waits until none is.
func (s *store) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.saving {
		s.saved.Wait()
	}
}

// failed is the error of the last save that failed, once.
func (s *store) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}

func (s *store) create(tokens []int32, c *gemma2.Cache) (*stored, error) {
	sum := sha256.New()
	sum.Write(s.id[:])
	_ = binary.Write(sum, binary.LittleEndian, tokens) // a hash never fails
	path := filepath.Join(s.dir, hex.EncodeToString(sum.Sum(nil)[:16])+storeExt)
	tmp := filepath.Join(s.dir, "."+rand.Text()+".tmp")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	n, err := s.write(f, tokens, c)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	return &stored{path, tokens, c.FirstLocal(), n}, nil
}

func (s *store) write(f io.Writer, tokens []int32, c *gemma2.Cache) (n int64, err error) {
	w := bufio.NewWriterSize(f, 1<<20)
	h := &counter{hash: sha256.New(), to: w}
	head := append([]byte(storeMagic), s.id[:]...)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(tokens)))
	for _, t := range tokens {
		head = binary.LittleEndian.AppendUint32(head, uint32(t))
	}
	_, err = h.Write(head)
	if err == nil {
		err = c.Store(h)
	}
	if err == nil {
		_, err = h.Write(h.hash.Sum(nil))
	}
	return h.n, errors.Join(err, w.Flush())
}

// counter hashes and counts what goes through it.
type counter struct {
	hash hash.Hash
	to   io.Writer
	n    int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.hash.Write(b)
	c.n += int64(len(b))
	return c.to.Write(b)
}

// add takes a written file into the list, deletes those that it makes superfluous, and the least recently used ones beyond
// the limit. s.mu is held.
func (s *store) add(f *stored) error {
	var err error
	s.files = slices.DeleteFunc(s.files, func(old stored) bool {
		if old.path == f.path {
			return true
		}
		if n := len(old.tokens); n > len(f.tokens) || !slices.Equal(old.tokens, f.tokens[:n]) {
			return false
		}
		err = errors.Join(err, remove(old.path))
		return true
	})
	s.files = append(s.files, *f)
	total := int64(0)
	for _, x := range s.files {
		total += x.bytes
	}
	for total > s.limit && len(s.files) > 0 {
		total -= s.files[0].bytes
		err = errors.Join(err, remove(s.files[0].path))
		s.files = s.files[1:]
	}
	return err
}

// remove deletes a file that another process may have deleted.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
