package server

import (
	"strings"
	"testing"
)

// TestDeletedLooksLikeNever to who may get, write and delete an object but not list it:
// whatever they ask, by whatever id of a version that they can know, they are answered
// as for a key that never was.
func TestDeletedLooksLikeNever(t *testing.T) {
	for _, state := range []string{"Enabled", "Suspended"} {
		w := newWorld(t, &setup{config: strings.Replace(testConfig, "authenticated: [get]", "authenticated: [get, write, delete]", 1)})
		alice := w.user("alice")
		w.as(w.operator, "PUT", "/media?versioning", "<VersioningConfiguration><Status>"+state+"</Status></VersioningConfiguration>").is(200)
		w.as(w.operator, "PUT", "/media/blind/deleted", "x").is(200)
		marker := w.as(w.operator, "DELETE", "/media/blind/deleted", "").is(204).header.Get("X-Amz-Version-Id")
		other := w.as(w.operator, "PUT", "/media/public/x", "x").is(200).header.Get("X-Amz-Version-Id")
		for _, version := range []string{"", "null", marker, other, "nonsense"} {
			query := ""
			if version != "" {
				query = "versionId=" + version
			}
			for _, ask := range []struct{ method, query, body, header string }{
				{"GET", query, "", "Range: bytes=5-"},
				{"GET", query, "", "If-None-Match: *"},
				{"HEAD", query, "", "If-Match: *"},
				{"HEAD", query + "&partNumber=2", "", ""},
				{"GET", "tagging&" + query, "", ""},
				{"GET", "acl&" + query, "", ""},
				{"GET", "attributes&" + query, "", "X-Amz-Object-Attributes: ETag"},
				{"PUT", "tagging&" + query, "<Tagging><TagSet/></Tagging>", ""},
				{"DELETE", "tagging&" + query, "", ""},
				{"DELETE", query, "", "If-Match: *"},
				{"PUT", "", "content", "If-Match: *"},
				{"PUT", "", "", "X-Amz-Copy-Source: media/blind/KEY?" + query},
			} {
				answer := func(key string) *response {
					to, query := "/media/blind/"+key, strings.Trim(ask.query, "&")
					if strings.HasPrefix(ask.header, "X-Amz-Copy-Source") {
						to = "/media/public/copy"
					}
					if query != "" {
						to += "?" + query
					}
					header := []string{strings.TrimSuffix(strings.Replace(ask.header, "KEY", key, 1), "?")}
					if ask.header == "" {
						header = nil
					}
					return w.as(alice, ask.method, to, ask.body, header...)
				}
				deleted, never := answer("deleted"), answer("never")
				same := deleted.status == never.status && deleted.element("Code") == never.element("Code") &&
					deleted.element("Message") == never.element("Message") && len(deleted.header) == len(never.header)
				if !same || deleted.status < 400 {
					t.Errorf("%s, %s, %s: got %d %v %s, for a key that never was %d %v %s", state, deleted.what, ask.header,
						deleted.status, deleted.header, deleted.body, never.status, never.header, never.body)
				}
			}
		}
	}
}
