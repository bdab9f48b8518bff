package s3api

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

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
	version, err := c.version()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	tags, err := b.Tags(c.ctx, c.target.key, &store.GetOptions{Version: version})
	if err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Version-Id", version)
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
	version, err := c.version()
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	if err := b.SetTags(c.ctx, c.target.key, tags, &store.GetOptions{Version: version}); err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Version-Id", version)
	c.header(status)
	return nil
}

// parseTags reads the value of x-amz-tagging: tags as in a query.
func parseTags(s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	bad := badArgument("x-amz-tagging", s, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	list, err := url.ParseQuery(s)
	if err != nil {
		return nil, bad
	}
	tags := make(map[string]string)
	for k, values := range list {
		if k == "" || len(values) > 1 {
			return nil, bad
		}
		tags[k] = values[0]
	}
	return tags, checkTags(tags)
}

// addTag adds a tag whose key is new, and that XML can hold.
func addTag(tags map[string]string, k, v string) error {
	if _, ok := tags[k]; ok {
		return newError("InvalidTag", "Cannot provide multiple Tags with the same key").with("TagKey", k)
	}
	tags[k] = v
	return nil
}

// checkTag reports whether a tag holds only characters that S3 has in tags.
func checkTag(k, v string) error {
	wrong := func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.N, unicode.Z) && !strings.ContainsRune("_.:/=+-@", r)
	}
	switch {
	case store.CheckTags(map[string]string{k: ""}) != nil, strings.ContainsFunc(k, wrong):
		return newError("InvalidTag", "The TagKey you have provided is invalid").with("TagKey", k)
	case store.CheckTags(map[string]string{k: v}) != nil, strings.ContainsFunc(v, wrong):
		return newError("InvalidTag", "The TagValue you have provided is invalid").with("TagKey", k).with("TagValue", v)
	}
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > store.MaxTags {
		return newError("BadRequest", "Object tags cannot be greater than "+itoa(store.MaxTags))
	}
	for k, v := range tags {
		if err := checkTag(k, v); err != nil {
			return err
		}
	}
	return nil
}
