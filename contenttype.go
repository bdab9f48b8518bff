package cubby

import (
	"net/http"
	"path"
	"strings"
)

// contentType is the type of the extension of name, or else what head, the first
// bytes of the content, looks like. It does not ask the system, so that the same
// file has the same type everywhere.
func contentType(name string, head []byte) string {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
	if t := types[ext]; t != "" {
		return t
	}
	if len(head) == 0 {
		return "application/octet-stream"
	}
	return http.DetectContentType(head)
}

var types = map[string]string{
	"3gp": "video/3gpp", "7z": "application/x-7z-compressed", "aac": "audio/aac", "aif": "audio/aiff", "aiff": "audio/aiff",
	"apk": "application/vnd.android.package-archive", "apng": "image/apng", "avi": "video/x-msvideo", "avif": "image/avif",
	"bmp": "image/bmp", "bz2": "application/x-bzip2", "cjs": "text/javascript", "css": "text/css", "csv": "text/csv",
	"dmg": "application/x-apple-diskimage", "doc": "application/msword",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "eml": "message/rfc822",
	"epub": "application/epub+zip", "flac": "audio/flac", "geojson": "application/geo+json", "gif": "image/gif",
	"gz": "application/gzip", "heic": "image/heic", "heif": "image/heif", "htm": "text/html", "html": "text/html",
	"ico": "image/x-icon", "ics": "text/calendar", "jar": "application/java-archive", "jpeg": "image/jpeg", "jpg": "image/jpeg",
	"js": "text/javascript", "json": "application/json", "jsonld": "application/ld+json", "jxl": "image/jxl",
	"kml": "application/vnd.google-earth.kml+xml", "log": "text/plain", "m3u8": "application/vnd.apple.mpegurl",
	"m4a": "audio/mp4", "m4v": "video/x-m4v", "md": "text/markdown", "mid": "audio/midi", "midi": "audio/midi",
	"mjs": "text/javascript", "mkv": "video/x-matroska", "mov": "video/quicktime", "mp3": "audio/mpeg", "mp4": "video/mp4",
	"mpeg": "video/mpeg", "mpg": "video/mpeg", "odp": "application/vnd.oasis.opendocument.presentation",
	"ods": "application/vnd.oasis.opendocument.spreadsheet", "odt": "application/vnd.oasis.opendocument.text",
	"oga": "audio/ogg", "ogg": "audio/ogg", "ogv": "video/ogg", "opus": "audio/ogg", "otf": "font/otf",
	"parquet": "application/vnd.apache.parquet", "pdf": "application/pdf", "png": "image/png",
	"ppt":  "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"ps":   "application/postscript", "rar": "application/vnd.rar", "rtf": "application/rtf", "sh": "application/x-sh",
	"sql": "application/sql", "srt": "application/x-subrip", "svg": "image/svg+xml", "tar": "application/x-tar",
	"tgz": "application/gzip", "tif": "image/tiff", "tiff": "image/tiff", "toml": "application/toml", "ts": "video/mp2t",
	"tsv": "text/tab-separated-values", "ttf": "font/ttf", "txt": "text/plain", "vcf": "text/vcard", "vtt": "text/vtt",
	"wasm": "application/wasm", "wav": "audio/wav", "weba": "audio/webm", "webm": "video/webm",
	"webmanifest": "application/manifest+json", "webp": "image/webp", "woff": "font/woff", "woff2": "font/woff2",
	"xhtml": "application/xhtml+xml", "xls": "application/vnd.ms-excel",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xml": "application/xml",
	"xz": "application/x-xz", "yaml": "application/yaml", "yml": "application/yaml", "zip": "application/zip", "zst": "application/zstd",
}
