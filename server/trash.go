package server

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/diskstore"
)

// Documents for operators below trashDocuments and the name of a bucket.
const (
	trashDocuments = "trash/"
	trashRestore   = "restore"
	trashEmpty     = "empty"
)

// Trashed is an object that was deleted or overwritten and can be had back.
type Trashed struct {
	Key      string    `json:"key"`
	ID       string    `json:"id"` // which of those with its key it is
	Deleted  time.Time `json:"deleted"`
	Modified time.Time `json:"modified"`
	Size     int64     `json:"size"`
	ETag     string    `json:"etag"`
}

// Trash is a page of what can be had back of a bucket, by key, and of each key the
// latest first.
type Trash struct {
	Bucket  string    `json:"bucket"`
	Objects []Trashed `json:"objects"`
	Next    string    `json:"next,omitempty"` // where the next page begins, if there is one
}

// Restored is an object that was put back.
type Restored struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	ETag   string `json:"etag"`
}

// Emptied is how much of a trash was removed for good.
type Emptied struct {
	Bucket  string `json:"bucket"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// trashDocument returns the document below trashDocuments: the list of a bucket's trash,
// or what can be done with it.
func trashDocument(rest string) *operators {
	bucket, action, deeper := strings.Cut(rest, "/")
	d := &operators{rest: bucket}
	switch {
	case !deeper:
		d.read = (*Server).listTrash
	case action == trashRestore:
		d.do = (*Server).restoreTrash
	case action == trashEmpty:
		d.do = (*Server).emptyTrash
	default:
		d.read = func(*Server, *question) (any, error) {
			return nil, fmt.Errorf("there is no such document: %w", fs.ErrNotExist)
		}
	}
	return d
}

// listTrash lists the trash of a bucket: what is below prefix, after the next of the page
// before, at most limit objects.
func (s *Server) listTrash(q *question) (any, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	limit, err := q.number("limit", store.MaxPage)
	if err != nil {
		return nil, err
	}
	p, err := s.objects.ListTrash(q, q.rest, &diskstore.ListTrashOptions{Prefix: q.query.Get("prefix"), After: q.query.Get("after"), Limit: int(limit)})
	if err != nil {
		return nil, err
	}
	t := &Trash{Bucket: q.rest, Objects: []Trashed{}, Next: p.Next}
	for _, o := range p.Objects {
		t.Objects = append(t.Objects, Trashed{o.Key, o.ID, o.Deleted, o.ModTime, o.Size, o.ETag})
	}
	return t, nil
}

// restoreTrash puts back the object key: what was deleted or overwritten last, or what id
// says. With force that is done where there is another object, too, which goes to the trash.
func (s *Server) restoreTrash(q *question) (any, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	force, err := q.flag("force")
	if err != nil {
		return nil, err
	}
	key := q.query.Get("key")
	info, err := s.objects.Undelete(q, q.rest, key, &diskstore.UndeleteOptions{ID: q.query.Get("id"), Force: force})
	switch {
	case errors.Is(err, store.ErrNoBucket):
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is nothing to restore of %q: %w", key, fs.ErrNotExist)
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("there is an object %q already: %w", key, fs.ErrExist)
	case err != nil:
		return nil, err
	}
	return &Restored{q.rest, info.Key, info.Size, info.ETag}, nil
}

// emptyTrash removes for good what is in the trash of a bucket below prefix.
func (s *Server) emptyTrash(q *question) (any, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	done, err := s.objects.EmptyTrash(q, q.rest, &diskstore.EmptyTrashOptions{Prefix: q.query.Get("prefix")})
	if err != nil {
		return nil, err
	}
	return &Emptied{q.rest, done.Objects, done.Bytes}, nil
}
