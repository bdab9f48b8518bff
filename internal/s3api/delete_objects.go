package s3api

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// maxDeleteBody is the most bytes in the list of DeleteObjects.
const maxDeleteBody = 2 << 20

// deleteRequest is the list of DeleteObjects.
type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool     `xml:"Quiet"`
	Objects []struct {
		Key              string `xml:"Key"`
		VersionID        string `xml:"VersionId"`
		ETag             string `xml:"ETag"`
		LastModifiedTime string `xml:"LastModifiedTime"`
		Size             string `xml:"Size"`
	} `xml:"Object"`
}

func deleteObjects(c *call) error {
	text, err := c.document(maxDeleteBody, true)
	if err != nil {
		return err
	}
	var req deleteRequest
	if err := readXML(text, &req); err != nil {
		return err
	}
	if len(req.Objects) == 0 || len(req.Objects) > store.MaxPage {
		return newError("MalformedXML", "There may be 1 to "+itoa(store.MaxPage)+" objects in the list.")
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	results := make([]store.Deleted, len(req.Objects))
	var targets []store.Target
	var at []int
	for i, o := range req.Objects {
		err := &results[i].Err
		switch {
		case o.LastModifiedTime != "", o.Size != "":
			*err = newError("NotImplemented", "The only condition on an object in the list is its ETag.")
		case o.Key == "":
			*err = newError("InvalidArgument", "The key is empty.")
		case o.VersionID != "":
			*err = checkVersion("VersionId", o.VersionID)
		}
		if *err == nil {
			*err = checkKey(o.Key)
		}
		switch {
		case *err != nil:
		case o.ETag != "":
			d, derr := b.Delete(c.ctx, o.Key, &store.DeleteOptions{Version: o.VersionID, IfMatch: etags(o.ETag)})
			if errors.Is(derr, store.ErrNoBucket) {
				return derr
			}
			if *err = derr; derr == nil {
				results[i] = *d
			}
		default:
			targets, at = append(targets, store.Target{Key: o.Key, Version: o.VersionID}), append(at, i)
		}
	}
	if len(targets) > 0 {
		done, err := b.DeleteMany(c.ctx, targets)
		if err != nil {
			return err
		}
		for i, d := range done {
			results[at[i]] = d
		}
	}
	x := newXML()
	x.root("DeleteResult")
	for i, o := range req.Objects {
		d := &results[i]
		if d.Err == nil {
			if !req.Quiet {
				x.deleted(o.Key, o.VersionID, d)
			}
			continue
		}
		e := asError(d.Err, c.op.name)
		if e.Status >= 500 && e.Code != "NotImplemented" {
			c.s.opts.OnError(c.ctx, c.id, d.Err)
		}
		x.open("Error")
		x.elem("Key", o.Key)
		x.some("VersionId", o.VersionID)
		x.elem("Code", e.Code)
		x.elem("Message", e.Message)
		x.close("Error")
	}
	x.close("DeleteResult")
	return c.xml(http.StatusOK, x)
}

// deleted writes what became of an object, or of a version of it if one was named.
func (x *xmlWriter) deleted(key, version string, d *store.Deleted) {
	x.open("Deleted")
	x.elem("Key", key)
	x.some("VersionId", version)
	if d.Marker {
		x.bool("DeleteMarker", true)
		x.some("DeleteMarkerVersionId", d.Version)
	}
	x.close("Deleted")
}

// deleteObjectsSomewhere is DeleteObjects without a bucket: some clients lose the
// name of the bucket if it has a dot in it. If there is one such bucket, it is
// that one.
func deleteObjectsSomewhere(c *call) error {
	list, err := c.view.Buckets(c.ctx)
	if err != nil {
		return err
	}
	name := ""
	for _, b := range list {
		if !strings.Contains(b.Name, ".") {
			continue
		}
		if name != "" {
			return newError("InvalidRequest", "The request does not say which bucket it is about.")
		}
		name = b.Name
	}
	if name == "" {
		return newError("InvalidRequest", "The request does not say which bucket it is about.")
	}
	c.target.bucket = name
	return deleteObjects(c)
}
