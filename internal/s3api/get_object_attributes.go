package s3api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// objectAttributes are the names that x-amz-object-attributes may list.
var objectAttributes = []string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}

// getObjectAttributes tells of an object that was uploaded in parts how many
// there were. Of each one a store keeps nothing, and S3 leaves out the list of
// parts, too, where it has no checksums of them.
func getObjectAttributes(c *call) error {
	b, err := c.bucket()
	if err != nil {
		return err
	}
	asked, err := c.objectAttributes()
	if err != nil {
		return err
	}
	opts := new(store.GetOptions)
	if opts.Version, err = c.version(); err != nil {
		return err
	}
	opts.SSE.CustomerKey, err = c.customerKey(ownKey)
	if err != nil {
		return err
	}
	info, err := b.Stat(c.ctx, c.target.key, opts)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("GetObjectAttributesOutput")
	if slices.Contains(asked, "ETag") {
		x.elem("ETag", info.ETag)
	}
	if slices.Contains(asked, "Checksum") && info.Checksums.Any() != "" {
		x.open("Checksum")
		x.checksums(&info.Checksums)
		x.elem("ChecksumType", string(or(info.Checksums.Type, store.FullObject)))
		x.close("Checksum")
	}
	if slices.Contains(asked, "ObjectParts") && info.Parts > 0 {
		x.open("ObjectParts")
		x.int("PartsCount", int64(info.Parts))
		x.close("ObjectParts")
	}
	if slices.Contains(asked, "StorageClass") {
		x.elem("StorageClass", "STANDARD")
	}
	if slices.Contains(asked, "ObjectSize") {
		x.int("ObjectSize", info.Size)
	}
	x.close("GetObjectAttributesOutput")
	h := c.w.Header()
	h.Set("Last-Modified", info.ModTime.UTC().Format(http.TimeFormat))
	set(h, "X-Amz-Version-Id", info.Version)
	return c.xml(http.StatusOK, x)
}

// objectAttributes returns the attributes that the request names.
func (c *call) objectAttributes() ([]string, error) {
	v := c.value("x-amz-object-attributes")
	if v == "" {
		return nil, newError("InvalidRequest", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	asked := strings.Split(v, ",")
	for i, name := range asked {
		asked[i] = strings.TrimSpace(name)
		if !slices.Contains(objectAttributes, asked[i]) {
			return nil, badArgument("x-amz-object-attributes", asked[i], "Invalid attribute name specified.")
		}
	}
	for _, name := range []string{"x-amz-max-parts", "x-amz-part-number-marker"} {
		if _, ok := offset(c.value(name)); !ok && c.has(name) {
			return nil, newError("InvalidArgument", name+" must be a number from 0.")
		}
	}
	return asked, nil
}
