package s3api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// maxVersion is the most bytes in the id of a version.
const maxVersion = 1024

// version returns the query parameter versionId, or "" if it is not there.
func (c *call) version() (string, error) {
	if !c.query.Has("versionId") {
		return "", nil
	}
	id := c.query.Get("versionId")
	return id, checkVersion("versionId", id)
}

// checkVersion reports whether id, the value of the argument called name, can be that
// of a version in any store.
func checkVersion(name, id string) error {
	switch {
	case id == "":
		return badArgument(name, id, "Version id cannot be the empty string")
	case len(id) > maxVersion || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		return badArgument(name, "", "Invalid version id specified")
	}
	return nil
}

// tellVersion writes the id of the version that a write has made. As in S3, that is
// not told of a null version: a bucket that keeps none for now answers as others do.
func (c *call) tellVersion(info *store.Info) {
	if info.Version != store.NullVersion {
		c.some("X-Amz-Version-Id", info.Version)
	}
}

// tellMarker writes the headers that tell of the delete marker in which err found
// the object that the request names, if it did.
func (c *call) tellMarker(err error) {
	e, ok := errors.AsType[*store.Error](err)
	if !ok || e.Marker == "" || c.op == nil || c.op.header == "x-amz-copy-source" {
		return // of a copy it may be that of its source
	}
	h := c.w.Header()
	h.Set("X-Amz-Delete-Marker", "true")
	h.Set("X-Amz-Version-Id", e.Marker)
	if errors.Is(err, store.ErrMarker) {
		h.Set("Allow", http.MethodDelete)
	}
}
