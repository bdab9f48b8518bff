package diskstore

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// side is a store under test or the model of it. What is the same on both has the
// same names here: uploads, whose ids differ, have numbers.
type side struct {
	svc     store.Service
	prefix  string // of the keys that it is about
	uploads map[int]openUpload
}

type openUpload struct{ bucket, key, id string }

func newSide(svc store.Service, prefix string) *side {
	return &side{svc: svc, prefix: prefix, uploads: make(map[int]openUpload)}
}

// newModel returns a side that is in memory.
func newModel(prefix string, buckets ...string) *side {
	m := memstore.New()
	for _, name := range buckets {
		if err := m.CreateBucket(context.Background(), name); err != nil {
			panic(err)
		}
	}
	return newSide(m, prefix)
}

// step is something that is done to both sides. It returns what was answered, in
// words that are the same for both, and the error.
type step struct {
	name string
	do   func(ctx context.Context, s *side) (string, error)
	// each are steps that the step consists of: a crash may come between them.
	each []step
}

// on makes a step that is about a bucket.
func on(bucket, name string, do func(ctx context.Context, s *side, b store.Bucket) (string, error)) step {
	return step{name: bucket + ": " + name, do: func(ctx context.Context, s *side) (string, error) {
		b, err := s.svc.Bucket(ctx, bucket)
		if err != nil {
			return "", err
		}
		return do(ctx, s, b)
	}}
}

// causes are those of errors that both sides must agree on.
var causes = map[string]error{
	"not exist": fs.ErrNotExist, "exist": fs.ErrExist, "invalid": fs.ErrInvalid, "no bucket": store.ErrNoBucket,
	"no upload": store.ErrNoUpload, "not empty": store.ErrNotEmpty, "precondition": store.ErrPrecondition,
	"not modified": store.ErrNotModified, "range": store.ErrRange, "incomplete": store.ErrIncomplete,
	"part": store.ErrInvalidPart, "order": store.ErrPartOrder, "small": store.ErrPartTooSmall, "no version": store.ErrNoVersion, "marker": store.ErrMarker, "unsupported": errors.ErrUnsupported,
}

// causeOf names the cause of an error; "other" is one that no step should have.
func causeOf(err error) string {
	if err == nil {
		return ""
	}
	var is []string
	for name, cause := range causes {
		if errors.Is(err, cause) {
			is = append(is, name)
		}
	}
	if len(is) == 0 {
		return "other"
	}
	sort.Strings(is)
	return strings.Join(is, "+")
}

func describe(info *store.Info) string {
	user := slices.Sorted(maps.Keys(info.User))
	for i, k := range user {
		user[i] = k + "=" + info.User[k]
	}
	return fmt.Sprintf("%d bytes, %s, sums %v, parts %d, tags %d, type %q, user %v", info.Size, info.ETag, info.Checksums, info.Parts, info.TagCount, info.ContentType, user)
}

func describePart(p *store.Part) string {
	return fmt.Sprintf("part %d: %d bytes, %s, sums %v", p.Number, p.Size, p.ETag, p.Checksums)
}

func describeParts(parts []store.Part) string {
	lines := make([]string, len(parts))
	for i := range parts {
		lines[i] = describePart(&parts[i])
	}
	return strings.Join(lines, "; ")
}

func readAll(o *store.Object) (string, error) {
	defer o.Body.Close()
	h := md5.New()
	n, err := io.Copy(h, o.Body)
	return fmt.Sprintf("%d at %d: %x", n, o.Offset, h.Sum(nil)), err
}

// dump describes everything that a side has, one line for each thing.
func (s *side) dump(ctx context.Context) (map[string]string, error) {
	lines := make(map[string]string)
	buckets, err := s.svc.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range buckets {
		b, err := s.svc.Bucket(ctx, info.Name)
		if err != nil {
			return nil, err
		}
		lines[info.Name] = "bucket"
		if err := s.dumpObjects(ctx, info.Name, b, lines); err != nil {
			return nil, err
		}
		if err := s.dumpVersions(ctx, info.Name, b, lines); err != nil {
			return nil, err
		}
		found, err := s.openUploads(ctx, info.Name, b)
		if err != nil {
			return nil, err
		}
		seen := make(map[string]int)
		for _, u := range found {
			parts, err := b.ListParts(ctx, u.key, u.id, nil)
			if err != nil {
				return nil, err
			}
			seen[u.key]++
			lines[fmt.Sprintf("%s/%s, upload %d", info.Name, u.key, seen[u.key])] = fmt.Sprintf("upload of %q %s %s: %s", parts.Upload.Owner, parts.Upload.Algorithm, parts.Upload.Type, describeParts(parts.Parts))
		}
	}
	return lines, nil
}

func (s *side) dumpObjects(ctx context.Context, bucket string, b store.Bucket, lines map[string]string) error {
	page, err := b.List(ctx, &store.ListOptions{Prefix: s.prefix})
	if err != nil {
		return err
	}
	for _, listed := range page.Objects {
		o, err := b.Get(ctx, listed.Key, nil)
		if err != nil {
			return err
		}
		content, err := readAll(o)
		if err != nil {
			return fmt.Errorf("read %s: %w", listed.Key, err)
		}
		tags, err := b.Tags(ctx, listed.Key, nil)
		if err != nil {
			return err
		}
		if listed.Size != o.Size || listed.ETag != o.ETag {
			return fmt.Errorf("%s is listed as %d bytes, %s, and is %s", listed.Key, listed.Size, listed.ETag, describe(&o.Info))
		}
		lines[bucket+"/"+listed.Key] = fmt.Sprintf("%s, tags %v, content %s", describe(&o.Info), tags, content)
	}
	return nil
}

// dumpVersions describes the versions of all keys. Their ids differ, so they have numbers.
func (s *side) dumpVersions(ctx context.Context, bucket string, b store.Bucket, lines map[string]string) error {
	state, err := b.Versioning(ctx)
	if err != nil || state == store.Unversioned {
		return err
	}
	lines[bucket+", versioning"] = string(state)
	page, err := b.ListVersions(ctx, &store.ListVersionsOptions{Prefix: s.prefix})
	if err != nil {
		return err
	}
	seen := make(map[string]int)
	for _, v := range page.Versions {
		line := fmt.Sprintf("latest %t, null %t, ", v.Latest, v.Info.Version == store.NullVersion)
		if v.IsMarker {
			line += "delete marker"
		} else {
			o, err := b.Get(ctx, v.Key, &store.GetOptions{Version: v.Info.Version})
			if err != nil {
				return err
			}
			content, err := readAll(o)
			if err != nil {
				return fmt.Errorf("read version of %s: %w", v.Key, err)
			}
			line += describe(&o.Info) + ", content " + content
		}
		seen[v.Key]++
		lines[fmt.Sprintf("%s/%s, version %d", bucket, v.Key, seen[v.Key])] = line
	}
	return nil
}

// version returns the id of the one of the versions of a key that has a number, or one
// that there is not.
func version(ctx context.Context, b store.Bucket, key string, n int) (string, error) {
	page, err := b.ListVersions(ctx, &store.ListVersionsOptions{Prefix: key})
	if err != nil {
		return "", err
	}
	for _, v := range page.Versions {
		if v.Key != key {
			continue
		}
		if n--; n < 0 {
			return v.Info.Version, nil
		}
	}
	return store.NullVersion, nil
}

// openUploads returns the uploads of a bucket, in the order in which they are listed.
func (s *side) openUploads(ctx context.Context, bucket string, b store.Bucket) ([]openUpload, error) {
	page, err := b.ListUploads(ctx, &store.ListUploadsOptions{Prefix: s.prefix})
	if err != nil {
		return nil, err
	}
	var found []openUpload
	for _, u := range page.Uploads {
		found = append(found, openUpload{bucket, u.Key, u.ID})
	}
	return found, nil
}

// adopt gives the uploads of s the numbers that they have in the model, which has
// the same ones. It is for one whose id was not heard.
func (s *side) adopt(ctx context.Context, model *side) error {
	numbers := make(map[openUpload]int)
	for n, u := range model.uploads {
		numbers[u] = n
	}
	uploads := make(map[int]openUpload)
	buckets, err := s.svc.Buckets(ctx)
	if err != nil {
		return err
	}
	for _, info := range buckets {
		b, err := s.svc.Bucket(ctx, info.Name)
		if err != nil {
			return err
		}
		mb, err := model.svc.Bucket(ctx, info.Name)
		if err != nil {
			return err
		}
		mine, err := s.openUploads(ctx, info.Name, b)
		if err != nil {
			return err
		}
		theirs, err := model.openUploads(ctx, info.Name, mb)
		if err != nil {
			return err
		}
		if len(mine) != len(theirs) {
			return fmt.Errorf("%d uploads, the model has %d", len(mine), len(theirs))
		}
		for i, u := range mine {
			uploads[numbers[theirs[i]]] = u
		}
	}
	// Those that ended are still asked for, by their old ids.
	for n := range model.uploads {
		if u, ok := s.uploads[n]; ok && uploads[n].id == "" {
			uploads[n] = u
		}
	}
	s.uploads = uploads
	return nil
}

// differences returns the lines that are not the same, or nil.
func differences(got, want map[string]string) (diff []string) {
	for key := range got {
		if got[key] != want[key] {
			diff = append(diff, fmt.Sprintf("%q\n\tis      %s\n\tand not %s", key, got[key], want[key]))
		}
	}
	for key := range want {
		if got[key] == "" {
			diff = append(diff, fmt.Sprintf("%q\n\tis gone: %s", key, want[key]))
		}
	}
	sort.Strings(diff)
	return diff
}

// settle compares the store with the model up to step, which was not answered if
// it is not nil: it was done whole or not at all. If the store has it, which is
// reported, the model gets it too.
func settle(ctx context.Context, s, model *side, under *step) (done bool, err error) {
	got, err := s.dump(ctx)
	if err != nil {
		return false, err
	}
	steps := []step{{}}
	if under != nil {
		steps = []step{*under}
		if len(under.each) > 0 {
			steps = under.each
		}
	}
	var diff []string
	for i := range len(steps) + 1 {
		want, err := model.dump(ctx)
		if err != nil {
			return false, err
		}
		if diff = differences(got, want); len(diff) == 0 {
			return i == len(steps), s.adopt(ctx, model)
		}
		if under == nil || i == len(steps) {
			break
		}
		// The answer was not heard, and may have been an error.
		_, _ = steps[i].do(ctx, model)
	}
	name := "nothing"
	if under != nil {
		name = under.name
	}
	return false, fmt.Errorf("with %s under way:\n%s", name, strings.Join(diff, "\n"))
}
