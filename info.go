package cubby

import (
	"context"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// Attributes are what an object carries besides its content.
type Attributes = store.Attributes

// Range is a range of bytes in an object. A Length below 0 means up to the end;
// an Offset below 0 counts from the end.
type Range = store.Range

// Info describes an object.
type Info struct {
	Bucket    string // friendly name
	Path      string
	Size      int64
	ETag      string // without quotation marks
	ModTime   time.Time
	Version   string // "" in a bucket without versions
	Checksums store.Checksums
	TagCount  int
	Attributes
}

func (t *target) info(i *store.Info) *Info {
	return &Info{
		Bucket: t.name, Path: t.path, Size: i.Size, ETag: i.ETag, ModTime: i.ModTime, Version: i.Version,
		Checksums: i.Checksums, TagCount: i.TagCount, Attributes: i.Attributes,
	}
}

// Properties describes the object at l without its content.
func (c *Client) Properties(ctx context.Context, l Location) (*Info, error) {
	const op = "properties"
	t, err := c.object(ctx, l)
	if err != nil {
		return nil, c.fail(op, l.String(), err)
	}
	i, err := t.Stat(ctx, t.path, nil)
	if err != nil {
		return nil, c.fail(op, t.path, err)
	}
	return t.info(i), nil
}
