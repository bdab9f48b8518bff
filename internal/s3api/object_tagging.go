package s3api

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/cubby-storage/cubby/store"
)

// maxTagBody is the most bytes in the list of PutObjectTagging.
const maxTagBody = 64 << 10

// tagging is the list of PutObjectTagging and of a form.
type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  *struct {
		Tags []struct {
			Key   string `xml:"Key"`
			Value string `xml:"Value"`
		} `xml:"Tag"`
	} `xml:"TagSet"`
}

func getObjectTagging(c *call) error {
	b, err := c.bucket()
	if err != nil {
		return err
	}
	tags, err := b.Tags(c.ctx, c.target.key, nil)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("Tagging")
	x.open("TagSet")
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		x.open("Tag")
		x.elem("Key", k)
		x.elem("Value", tags[k])
		x.close("Tag")
	}
	x.close("TagSet")
	x.close("Tagging")
	return c.xml(http.StatusOK, x)
}

func putObjectTagging(c *call) error {
	text, err := c.document(maxTagBody, false)
	if err != nil {
		return err
	}
	var req tagging
	if err := readXML(text, &req); err != nil {
		return err
	}
	tags, err := req.tags()
	if err != nil {
		return err
	}
	return c.setTags(tags, http.StatusOK)
}

// tags returns the tags in the list.
func (l *tagging) tags() (map[string]string, error) {
	if l.TagSet == nil {
		return nil, newError("MalformedXML", "")
	}
	tags := make(map[string]string)
	for _, t := range l.TagSet.Tags {
		if err := addTag(tags, t.Key, t.Value); err != nil {
			return nil, err
		}
	}
	return tags, checkTags(tags)
}

func deleteObjectTagging(c *call) error { return c.setTags(nil, http.StatusNoContent) }

// setTags replaces the tags of the object.
func (c *call) setTags(tags map[string]string, status int) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	if err := b.SetTags(c.ctx, c.target.key, tags, nil); err != nil {
		return err
	}
	c.header(status)
	return nil
}

// parseTags reads the value of x-amz-tagging: tags as in a query.
func parseTags(s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	list, err := url.ParseQuery(s)
	if err != nil {
		return nil, newError("InvalidArgument", "x-amz-tagging cannot be parsed.")
	}
	tags := make(map[string]string)
	for k, values := range list {
		for _, v := range values {
			if err := addTag(tags, k, v); err != nil {
				return nil, err
			}
		}
	}
	return tags, checkTags(tags)
}

// addTag adds a tag whose key is new, and that XML can hold.
func addTag(tags map[string]string, k, v string) error {
	if _, ok := tags[k]; ok {
		return newError("InvalidTag", "A key occurs more than once.")
	}
	if !printable(k) || !printable(v) {
		return newError("InvalidTag", "A tag holds a control character.")
	}
	tags[k] = v
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > store.MaxTags {
		return newError("BadRequest", "An object may have at most "+itoa(store.MaxTags)+" tags.")
	}
	if err := store.CheckTags(tags); err != nil {
		return &Error{Code: "InvalidTag", Err: err}
	}
	return nil
}
