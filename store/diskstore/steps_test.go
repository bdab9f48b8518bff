package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// maker makes steps up.
type maker struct {
	rng     *rand.Rand
	model   *side
	prefix  string
	buckets []string
	uploads int
	fixed   bool // the buckets are shared with others
}

var modelKeys = []string{"a", "a/b", "a/c", "b", "b\x00c", "a/b/c", "ü"}

func (m *maker) key() string { return m.prefix + modelKeys[m.rng.IntN(len(modelKeys))] }

func (m *maker) bucket() string {
	if m.rng.IntN(5) > 0 {
		return m.buckets[0]
	}
	return m.buckets[m.rng.IntN(len(m.buckets))]
}

// content is of a size on either side of what is kept in the index.
func (m *maker) content() []byte {
	var n int
	switch m.rng.IntN(8) {
	case 0:
		n = 0
	case 1, 2, 3:
		n = m.rng.IntN(100)
	case 4:
		n = 255 + m.rng.IntN(4)
	case 5, 6:
		n = 300 + m.rng.IntN(1500)
	case 7:
		n = 5000 + m.rng.IntN(8000)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

func (m *maker) attributes() store.Attributes {
	var a store.Attributes
	if m.rng.IntN(3) == 0 {
		a.ContentType = fmt.Sprintf("text/%d", m.rng.IntN(10))
		a.User = map[string]string{"n": fmt.Sprint(m.rng.IntN(100))}
	}
	return a
}

func (m *maker) tags() map[string]string {
	if m.rng.IntN(3) > 0 {
		return nil
	}
	return map[string]string{"t": fmt.Sprint(m.rng.IntN(100))}
}

func (m *maker) algorithm() store.Algorithm {
	if m.rng.IntN(3) > 0 {
		return ""
	}
	return []store.Algorithm{store.CRC32C, store.SHA256}[m.rng.IntN(2)]
}

// etag is that of the object there, or another.
func (m *maker) etag(bucket, key string) string {
	b, err := m.model.svc.Bucket(context.Background(), bucket)
	if err == nil && m.rng.IntN(4) > 0 {
		if info, err := b.Stat(context.Background(), key, nil); err == nil {
			return info.ETag
		}
	}
	return "d41d8cd98f00b204e9800998ecf8427f"
}

// conditions are those of a write, in most cases none.
func (m *maker) conditions(bucket, key string) (match, noneMatch []string) {
	switch m.rng.IntN(8) {
	case 0:
		return []string{m.etag(bucket, key)}, nil
	case 1:
		return nil, []string{"*"}
	}
	return nil, nil
}

func (m *maker) next() step {
	bucket, key := m.bucket(), m.key()
	switch n := m.rng.IntN(100); {
	case n < 30:
		return m.put(bucket, key)
	case n < 38:
		return m.copy(bucket, key)
	case n < 47:
		return removeStep(bucket, key, nil)
	case n < 49:
		return removeStep(bucket, key, []string{m.etag(bucket, key)})
	case n < 52:
		return m.removeMany(bucket)
	case n < 56:
		return m.setTags(bucket, key)
	case n < 59:
		return m.get(bucket, key)
	case n < 65:
		return m.version(bucket, key)
	case n < 68:
		return m.list(bucket)
	case n < 74:
		return m.create(bucket, key)
	case n < 92:
		if m.uploads > 0 {
			return m.upload()
		}
		return m.put(bucket, key)
	case n < 94:
		return listUploads(bucket, m.prefix)
	case n < 98:
		return m.makeBucket()
	}
	return m.put(bucket, key)
}

func (m *maker) put(bucket, key string) step {
	content, attrs, tags, sum := m.content(), m.attributes(), m.tags(), m.algorithm()
	match, noneMatch := m.conditions(bucket, key)
	known := m.rng.IntN(2) == 0
	return on(bucket, fmt.Sprintf("put %q, %d bytes, if %q, unless %q", key, len(content), match, noneMatch), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		opts := &store.PutOptions{Attributes: attrs, Tags: tags, Algorithm: sum, IfMatch: match, IfNoneMatch: noneMatch}
		if known {
			opts.Size = int64(len(content))
		}
		info, err := b.Put(ctx, key, bytes.NewReader(content), opts)
		if err != nil {
			return "", err
		}
		return describe(info), nil
	})
}

func (m *maker) copy(bucket, key string) step {
	from, src := m.bucket(), m.key()
	match, noneMatch := m.conditions(bucket, key)
	opts := store.CopyOptions{Replace: m.rng.IntN(2) == 0, ReplaceTags: m.rng.IntN(2) == 0}
	opts.Put = store.PutOptions{Attributes: m.attributes(), Tags: m.tags(), Algorithm: m.algorithm(), IfMatch: match, IfNoneMatch: noneMatch}
	return on(bucket, fmt.Sprintf("copy %q from %s: %q", key, from, src), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		opts := opts
		if from != bucket {
			source, err := s.svc.Bucket(ctx, from)
			if err != nil {
				return "", err
			}
			opts.From = source
		}
		info, err := b.Copy(ctx, key, src, &opts)
		if err != nil {
			return "", err
		}
		return describe(info), nil
	})
}

func removeStep(bucket, key string, match []string) step {
	return on(bucket, fmt.Sprintf("delete %q if %q", key, match), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		_, err := b.Delete(ctx, key, &store.DeleteOptions{IfMatch: match})
		return "", err
	})
}

func (m *maker) removeMany(bucket string) step {
	var keys []string
	var targets []store.Target
	var each []step
	for range 1 + m.rng.IntN(4) {
		key := m.key()
		keys = append(keys, key)
		targets = append(targets, store.Target{Key: key})
		each = append(each, removeStep(bucket, key, nil))
	}
	s := on(bucket, fmt.Sprintf("delete many %q", keys), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		done, err := b.DeleteMany(ctx, targets)
		for _, d := range done {
			err = errors.Join(err, d.Err)
		}
		return fmt.Sprint(len(done)), err
	})
	s.each = each
	return s
}

func (m *maker) setTags(bucket, key string) step {
	tags := m.tags()
	return on(bucket, fmt.Sprintf("set tags %q %v", key, tags), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		return "", b.SetTags(ctx, key, tags, nil)
	})
}

func (m *maker) get(bucket, key string) step {
	var opts store.GetOptions
	switch m.rng.IntN(6) {
	case 0:
		opts.Range = &store.Range{Offset: int64(m.rng.IntN(3000)), Length: int64(m.rng.IntN(3000)) - 1}
	case 1:
		opts.Range = &store.Range{Offset: -int64(1 + m.rng.IntN(3000)), Length: -1}
	case 2:
		opts.Part = 1 + m.rng.IntN(3)
	case 3:
		opts.IfNoneMatch = []string{m.etag(bucket, key)}
	}
	return on(bucket, fmt.Sprintf("get %q range %v part %d", key, opts.Range, opts.Part), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		o, err := b.Get(ctx, key, &opts)
		if err != nil {
			return "", err
		}
		content, err := readAll(o)
		return describe(&o.Info) + ", content " + content, err
	})
}

func (m *maker) list(bucket string) step {
	opts := store.ListOptions{Prefix: m.prefix + []string{"", "", "a", "a/", "z"}[m.rng.IntN(5)]}
	if m.rng.IntN(2) == 0 {
		opts.Delimiter = "/"
	}
	if m.rng.IntN(2) == 0 {
		opts.Limit = 1 + m.rng.IntN(3)
	}
	return on(bucket, fmt.Sprintf("list %q, %q, limit %d", opts.Prefix, opts.Delimiter, opts.Limit), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		opts := opts
		var text strings.Builder
		for {
			page, err := b.List(ctx, &opts)
			if err != nil {
				return "", err
			}
			for _, o := range page.Objects {
				fmt.Fprintf(&text, "%q %d %s ", o.Key, o.Size, o.ETag)
			}
			fmt.Fprintf(&text, "%q\n", page.Prefixes)
			if !page.More {
				return text.String(), nil
			}
			opts.After = page.Next
		}
	})
}

func listUploads(bucket, prefix string) step {
	return on(bucket, "list uploads", func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		found, err := s.openUploads(ctx, bucket, b)
		var keys []string
		for _, u := range found {
			keys = append(keys, u.key)
		}
		return fmt.Sprintf("%q", keys), err
	})
}

// version makes a step that is about one of the versions of a key, or about whether
// there are any.
func (m *maker) version(bucket, key string) step {
	n := m.rng.IntN(4)
	switch m.rng.IntN(5) {
	case 0:
		v := []store.Versioning{store.Enabled, store.Suspended}[m.rng.IntN(2)]
		if m.fixed {
			return m.list(bucket)
		}
		return on(bucket, "set versioning "+string(v), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
			return "", b.SetVersioning(ctx, v)
		})
	case 1:
		return on(bucket, fmt.Sprintf("get version %d of %q", n, key), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
			id, err := version(ctx, b, key, n)
			if err != nil {
				return "", err
			}
			o, err := b.Get(ctx, key, &store.GetOptions{Version: id})
			if err != nil {
				return "", err
			}
			content, err := readAll(o)
			return describe(&o.Info) + ", content " + content, err
		})
	case 2:
		return on(bucket, fmt.Sprintf("copy version %d of %q to itself", n, key), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
			id, err := version(ctx, b, key, n)
			if err != nil {
				return "", err
			}
			_, err = b.Copy(ctx, key, key, &store.CopyOptions{Version: id, Replace: true})
			return "", err
		})
	}
	return on(bucket, fmt.Sprintf("delete version %d of %q", n, key), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		id, err := version(ctx, b, key, n)
		if err != nil {
			return "", err
		}
		d, err := b.Delete(ctx, key, &store.DeleteOptions{Version: id})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("marker %t", d.Marker), nil
	})
}

func (m *maker) makeBucket() step {
	name := m.buckets[m.rng.IntN(len(m.buckets))]
	if m.fixed || m.rng.IntN(3) == 0 {
		return m.list(name)
	}
	if m.rng.IntN(2) == 0 {
		return deleteBucket(name)
	}
	return createBucket(name)
}

func createBucket(name string) step {
	return step{name: "create " + name, do: func(ctx context.Context, s *side) (string, error) { return "", s.svc.CreateBucket(ctx, name) }}
}

func deleteBucket(name string) step {
	return step{name: "delete " + name, do: func(ctx context.Context, s *side) (string, error) { return "", s.svc.DeleteBucket(ctx, name) }}
}

func (m *maker) create(bucket, key string) step {
	n := m.uploads
	m.uploads++
	opts := store.PutOptions{Attributes: m.attributes(), Tags: m.tags()}
	if m.rng.IntN(2) == 0 {
		opts.Owner = "ann"
	}
	if opts.Algorithm = m.algorithm(); opts.Algorithm != "" {
		opts.Checksums.Type = store.Composite
	}
	return on(bucket, fmt.Sprintf("create upload %d of %q", n, key), func(ctx context.Context, s *side, b store.Bucket) (string, error) {
		u, err := b.CreateUpload(ctx, key, &opts)
		if err != nil {
			return "", err
		}
		s.uploads[n] = openUpload{bucket, key, u.ID}
		return "", nil
	})
}

// upload makes a step that is about one of the latest uploads.
func (m *maker) upload() step {
	n := m.uploads - 1 - m.rng.IntN(min(m.uploads, 3))
	number := 1 + m.rng.IntN(3)
	switch m.rng.IntN(16) {
	case 0, 1, 2, 3, 4:
		content := m.content()
		return inUpload(n, fmt.Sprintf("put part %d, %d bytes", number, len(content)), func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			p, err := b.PutPart(ctx, u.key, u.id, number, bytes.NewReader(content), nil)
			if err != nil {
				return "", err
			}
			return describePart(p), nil
		})
	case 5, 6, 7, 8:
		return m.copyPart(n, number)
	case 9:
		return inUpload(n, "abort", func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			return "", b.AbortUpload(ctx, u.key, u.id, nil)
		})
	case 10:
		return inUpload(n, "list parts", func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
			page, err := b.ListParts(ctx, u.key, u.id, nil)
			if err != nil {
				return "", err
			}
			return describeParts(page.Parts), nil
		})
	}
	return m.complete(n)
}

func inUpload(n int, name string, do func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error)) step {
	return step{name: fmt.Sprintf("upload %d: %s", n, name), do: func(ctx context.Context, s *side) (string, error) {
		u, ok := s.uploads[n]
		if !ok {
			return "", store.ErrNoUpload
		}
		b, err := s.svc.Bucket(ctx, u.bucket)
		if err != nil {
			return "", err
		}
		return do(ctx, s, b, u)
	}}
}

func (m *maker) copyPart(n, number int) step {
	from, src := m.bucket(), m.key()
	var part *store.Range
	if m.rng.IntN(2) == 0 {
		part = &store.Range{Offset: int64(m.rng.IntN(300)), Length: int64(m.rng.IntN(2000))}
	}
	return inUpload(n, fmt.Sprintf("copy part %d from %s: %q, %v", number, from, src, part), func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
		source, err := s.svc.Bucket(ctx, from)
		if err != nil {
			return "", err
		}
		p, err := b.CopyPart(ctx, u.key, u.id, number, src, &store.CopyPartOptions{From: source, Range: part})
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrRange) {
			return "", fs.ErrInvalid // of two reasons one is told, and it need not be the same
		}
		if err != nil {
			return "", err
		}
		return describePart(p), nil
	})
}

// complete makes a step that names the parts that the model has, or some of them.
func (m *maker) complete(n int) step {
	var named []store.Part
	if u, ok := m.model.uploads[n]; ok {
		b, err := m.model.svc.Bucket(context.Background(), u.bucket)
		if err == nil {
			if page, err := b.ListParts(context.Background(), u.key, u.id, nil); err == nil {
				for _, p := range page.Parts {
					if m.rng.IntN(6) > 0 {
						named = append(named, store.Part{Number: p.Number, ETag: p.ETag})
					}
				}
			}
		}
	}
	opts := &store.CompleteOptions{MinPart: 1}
	if m.rng.IntN(8) == 0 {
		opts.IfNoneMatch = []string{"*"}
	}
	return inUpload(n, fmt.Sprintf("complete with %d parts", len(named)), func(ctx context.Context, s *side, b store.Bucket, u openUpload) (string, error) {
		info, err := b.CompleteUpload(ctx, u.key, u.id, named, opts)
		if err != nil {
			return "", err
		}
		return describe(info), nil
	})
}
