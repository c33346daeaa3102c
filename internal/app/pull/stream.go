package pull

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
)

func (f File) isWeights() bool { return strings.HasSuffix(f.Name, ".safetensors") }

// streams tells whether the weights are converted while they come, instead of from the hub's cache: where they shall not stay there, are
// not all there yet, and have hashes.
func (p *Puller) streams(x *Plan) bool {
	if x.gguf != "" || !x.converts() || x.request.KeepSource || x.Away != nil {
		return false
	}
	missing := false
	for _, f := range x.Files {
		if f.isWeights() {
			missing = missing || !f.Here
			if f.Size <= 0 || download.SumOf(f.etag).Kind == "" {
				return false
			}
		}
	}
	return missing
}

// stream fetches the small files into the cache and converts the weights while they come.
func (p *Puller) stream(ctx context.Context, x *Plan, r *Result) error {
	request := hub.SnapshotRequest{Repo: hub.Repo{ID: x.Repo}, Revision: x.Commit}
	weights := request
	small := int64(0)
	for _, f := range x.Files {
		switch {
		case f.isWeights():
			weights.Allow = append(weights.Allow, exactly(f.Name))
		default:
			request.Allow = append(request.Allow, exactly(f.Name))
			if !f.Here {
				small += max(f.Size, 0)
			}
		}
	}
	if err := p.room(x, small); err != nil {
		return err
	}
	snapshot, err := p.Client.Snapshot(ctx, request)
	if err != nil {
		return err
	}
	for _, f := range snapshot.Files {
		if f.Fetched {
			r.Fetched += f.Size
		}
	}
	if err := p.Client.Cache().Repo("model", x.Repo).SetRef(x.Revision, x.Commit); err != nil {
		return err
	}
	source, _, err := p.Client.OpenSource(ctx, weights)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(x.Target), 0o777); err != nil {
		return err
	}
	var came atomic.Int64
	s := systemgemma.StreamSource{Folder: snapshot.Path, Open: func(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
		body, err := source.Open(ctx, name, offset)
		return counted{body, &came}, err
	}}
	for _, f := range source.Files() {
		sum, err := hex.DecodeString(f.Sum.Hex)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		s.Files = append(s.Files, systemgemma.StreamFile{Name: f.Name, Size: f.Size, Sum: sum, Hash: func() hash.Hash { return f.Sum.New(f.Size) }})
	}
	slices.SortFunc(s.Files, func(a, b systemgemma.StreamFile) int { return strings.Compare(a.Name, b.Name) })
	// How far it is, the fetching tells.
	_, err = systemgemma.ConvertStream(ctx, s, &systemgemma.ConvertOptions{
		Output: x.Target, Types: []string{x.Type}, Name: x.Repo, Threads: p.Threads, NoReport: true, Warn: p.Notice,
	})
	r.Fetched += came.Load()
	return err
}

// counted counts what is read.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
