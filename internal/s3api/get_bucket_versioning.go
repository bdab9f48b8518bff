package s3api

import (
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func getBucketVersioning(c *call) error {
	b, err := c.bucket()
	if err != nil {
		return err
	}
	v, err := b.Versioning(c.ctx)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("VersioningConfiguration")
	if v != store.Unversioned {
		x.elem("Status", string(v))
	}
	x.close("VersioningConfiguration")
	return c.xml(http.StatusOK, x)
}
