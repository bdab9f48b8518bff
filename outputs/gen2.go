package outputs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// versions returns the versions of amplify_outputs.json, the lowest first.
func versions() []string { return []string{"1", "1.1", "1.2", "1.3", "1.4", "1.5"} }

// before reports whether version v came before w.
func before(v, w string) bool {
	return slices.Index(versions(), v) < slices.Index(versions(), w)
}

// The words of amplify_outputs.json.
var (
	providerWords     = []string{"GOOGLE", "FACEBOOK", "LOGIN_WITH_AMAZON", "SIGN_IN_WITH_APPLE"}
	responseWords     = []string{"code", "token"}
	usernameWords     = []string{"email", "phone_number", "username"}
	verificationWords = []string{"email", "phone_number"}
	mfaWords          = []string{"NONE", "OPTIONAL", "REQUIRED"}
	methodWords       = []string{"SMS", "TOTP", "EMAIL"}
	challengeWords    = []string{"EMAIL_OTP", "SMS_OTP", "PASSWORD", "WEB_AUTHN"}
	attributeWords    = []string{
		"address", "birthdate", "email", "family_name", "gender", "given_name", "locale", "middle_name", "name",
		"nickname", "phone_number", "picture", "preferred_username", "profile", "sub", "updated_at", "website", "zoneinfo",
	}
)

// gen2 reads amplify_outputs.json.
func (r *reader) gen2(n node) *Outputs {
	r.object(n)
	o := &Outputs{Version: r.required(n, "version"), Schema: r.optional(n, "$schema")}
	version := o.Version
	if !slices.Contains(versions(), version) {
		version = Version
		if o.Version != "" {
			f, _ := r.look(n, "version")
			r.fail(f, "is %q, only 1 to 1.5 can be read", o.Version)
		}
	}
	if a, ok := r.sub(n, "auth"); ok {
		o.Auth = r.gen2Auth(a, version)
	}
	if s, ok := r.sub(n, "storage"); ok {
		o.Storage = r.gen2Storage(s, version)
	}
	r.cubby(n, o)
	return o
}

// want notes fields that the schema wants and that are not there.
func (r *reader) want(n node, names ...string) {
	for _, name := range names {
		if f, ok := r.look(n, name); !ok {
			r.breaks(f, "is missing, and the schema wants it")
		}
	}
}

// some notes lists that the schema wants to have elements.
func (r *reader) some(n node, names ...string) {
	for _, name := range names {
		if f, ok := r.look(n, name); ok && f.value.kind == list && len(f.value.items) == 0 {
			r.breaks(f, "is empty, and the schema wants at least one")
		}
	}
}

// newer notes a field that is younger than the version of the file.
func (r *reader) newer(n node, name, version, since string) {
	if f, ok := r.look(n, name); ok && before(version, since) {
		r.lint(f, "is there since version %s, and the schema of version %s refuses it", since, version)
	}
}

func (r *reader) gen2Auth(n node, version string) *Auth {
	a := &Auth{
		Region:             r.required(n, "aws_region"),
		UserPoolID:         r.optional(n, "user_pool_id"),
		UserPoolClientID:   r.optional(n, "user_pool_client_id"),
		IdentityPoolID:     r.optional(n, "identity_pool_id"),
		Guests:             r.flag(n, "unauthenticated_identities_enabled", true),
		Groups:             r.groups(n),
		RequiredAttributes: r.texts(n, "standard_required_attributes", attributeWords...),
		UsernameAttributes: r.texts(n, "username_attributes", usernameWords...),
		VerificationTypes:  r.texts(n, "user_verification_types", verificationWords...),
		MFA:                r.choice(n, "mfa_configuration", mfaWords...),
		MFAMethods:         r.texts(n, "mfa_methods", methodWords...),
	}
	r.want(n, "user_pool_id", "user_pool_client_id")
	r.some(n, "username_attributes")
	user, _ := r.look(n, "user_pool_id")
	id, ok := r.look(n, "identity_pool_id")
	if guests, said := r.look(n, "unauthenticated_identities_enabled"); ok && !said {
		r.lint(guests, "is missing: the schema takes that for true, but the JavaScript libraries refuse guests")
	}
	r.pools(a, user, id)
	if p, ok := r.sub(n, "password_policy"); ok {
		a.Password = &PasswordPolicy{
			MinLength:        r.whole(p, "min_length"),
			RequireNumbers:   r.flag(p, "require_numbers", false),
			RequireLowercase: r.flag(p, "require_lowercase", false),
			RequireUppercase: r.flag(p, "require_uppercase", false),
			RequireSymbols:   r.flag(p, "require_symbols", false),
		}
		if f, ok := r.look(p, "min_length"); ok && (a.Password.MinLength < 6 || a.Password.MinLength > 99) {
			r.breaks(f, "is %d, and the schema wants 6 to 99", a.Password.MinLength)
		}
		r.want(p, "min_length", "require_numbers", "require_lowercase", "require_uppercase", "require_symbols")
	}
	if h, ok := r.sub(n, "oauth"); ok {
		a.OAuth = &OAuth{
			Providers: r.texts(h, "identity_providers", providerWords...),
			Domain:    r.optional(h, "domain"),
			Scopes:    r.texts(h, "scopes"),
			SignIn:    r.texts(h, "redirect_sign_in_uri"),
			SignOut:   r.texts(h, "redirect_sign_out_uri"),
			Response:  r.choice(h, "response_type", responseWords...),
		}
		r.want(h, "identity_providers", "domain", "scopes", "redirect_sign_in_uri", "redirect_sign_out_uri", "response_type")
		r.some(h, "redirect_sign_in_uri", "redirect_sign_out_uri")
	}
	if p, ok := r.sub(n, "passwordless"); ok {
		a.Passwordless = r.passwordless(p, outputsPasswordless)
		if a.Passwordless.WebAuthn != nil {
			w, _ := r.look(p, "web_authn")
			r.want(w, "relying_party_id", "user_verification")
		}
	}
	r.newer(n, "groups", version, "1.3")
	r.newer(n, "passwordless", version, "1.4")
	if slices.Contains(a.MFAMethods, "EMAIL") {
		r.newer(n, "mfa_methods", version, "1.4")
	}
	return a
}

func (r *reader) gen2Storage(n node, version string) *Storage {
	s := &Storage{Region: r.required(n, "aws_region"), Bucket: r.required(n, "bucket_name")}
	r.newer(n, "buckets", version, "1.1")
	nodes, ok := r.elements(n, "buckets")
	if !ok {
		return s
	}
	s.Buckets = []Bucket{}
	names := map[string]bool{}
	for _, e := range nodes {
		if !r.object(e) {
			continue
		}
		b := Bucket{Name: r.required(e, "name"), BucketName: r.required(e, "bucket_name"), Region: r.required(e, "aws_region")}
		if names[b.Name] {
			f, _ := r.look(e, "name")
			r.fail(f, "is %q, as that of another bucket", b.Name)
		}
		names[b.Name] = true
		r.newer(e, "paths", version, "1.2")
		b.Paths = r.paths(e, version)
		s.Buckets = append(s.Buckets, b)
	}
	r.defaultBucket(n, s)
	return s
}

// least returns the lowest version that can hold o, and is not below the one it has.
func (o *Outputs) least() string {
	v := o.Version
	if !slices.Contains(versions(), v) {
		v = Version
	}
	need := func(w string, yes bool) {
		if yes && before(v, w) {
			v = w
		}
	}
	if a := o.Auth; a != nil {
		need("1.3", len(a.Groups) > 0)
		need("1.4", a.Passwordless != nil || slices.Contains(a.MFAMethods, "EMAIL"))
	}
	if o.Storage != nil {
		need("1.1", len(o.Storage.Buckets) > 0)
		for _, b := range o.Storage.Buckets {
			need("1.2", b.Paths != nil)
			for _, whos := range b.Paths {
				for who := range whos {
					need("1.4", !oldWho(who))
				}
			}
		}
	}
	for _, x := range o.Extra {
		need("1.5", w15(o.Format, &x))
	}
	return v
}

// w15 reports whether an extra holds what only version 1.5 has.
func w15(f Format, x *Extra) bool {
	if f != AmplifyOutputs && f != "" || len(x.Keys) != 1 || x.Keys[0] != "notifications" {
		return false
	}
	v, err := parseRaw(x.Value)
	return err == nil && v.find("amazon_connect") != nil
}

// oldWho reports whether the schemas of versions 1.2 and 1.3 have this key in a path.
func oldWho(who string) bool {
	return slices.Contains([]string{"guest", "authenticated", "groups", "entity", "resource"}, who)
}

// gen2 writes amplify_outputs.json.
func (w *writer) gen2() *value {
	if w.version == "" {
		w.version = w.o.least()
	}
	root := newObject()
	root.setText("$schema", w.o.Schema)
	root.setText("version", w.version)
	if w.o.Auth != nil {
		root.set("auth", w.gen2Auth(w.o.Auth))
	}
	if w.o.Storage != nil {
		root.set("storage", w.gen2Storage(w.o.Storage))
	}
	custom := newObject()
	custom.setObject("cubby", w.cubby())
	root.setObject("custom", custom)
	for _, x := range w.o.Extra {
		if before(w.version, "1.5") && w15(w.o.Format, &x) {
			w.warn("notifications.amazon_connect", "is there since version 1.5, and the schema of version %s refuses it", w.version)
		}
	}
	return root
}

// cubby writes custom.cubby.
func (w *writer) cubby() *value {
	v := newObject()
	if w.o.Custom == nil || w.o.Custom.Cubby == nil {
		return v
	}
	c := w.o.Custom.Cubby
	v.setText("s3_endpoint", c.S3Endpoint)
	v.setText("identity_pool_endpoint", c.IdentityPoolEndpoint)
	v.setText("user_pool_endpoint", c.UserPoolEndpoint)
	v.setTrue("path_style", c.PathStyle)
	return v
}

// newer reports whether the version that is written is too old for something, and
// warns of it.
func (w *writer) newer(path, since string) bool {
	if !before(w.version, since) {
		return false
	}
	w.warn(path, "is there since version %s, and left out of version %s", since, w.version)
	return true
}

func (w *writer) gen2Auth(a *Auth) *value {
	v := newObject()
	v.set("aws_region", newText(a.Region))
	v.setText("user_pool_id", a.UserPoolID)
	v.setText("user_pool_client_id", a.UserPoolClientID)
	v.setText("identity_pool_id", a.IdentityPoolID)
	v.set("unauthenticated_identities_enabled", newFlag(a.Guests))
	if p := a.Password; p != nil {
		least := p.MinLength
		if least == 0 {
			least = 6 // what Amplify's libraries assume
			w.warn("auth.password_policy.min_length", "is not known, and written as %d", least)
		}
		x := newObject()
		x.set("min_length", newNumber(least))
		x.set("require_numbers", newFlag(p.RequireNumbers))
		x.set("require_lowercase", newFlag(p.RequireLowercase))
		x.set("require_uppercase", newFlag(p.RequireUppercase))
		x.set("require_symbols", newFlag(p.RequireSymbols))
		v.set("password_policy", x)
	}
	if h := a.OAuth; h != nil {
		x := newObject()
		x.set("identity_providers", newList(h.Providers))
		x.set("domain", newText(h.Domain))
		x.set("scopes", newList(h.Scopes))
		x.set("redirect_sign_in_uri", newList(h.SignIn))
		x.set("redirect_sign_out_uri", newList(h.SignOut))
		x.set("response_type", newText(response(h)))
		v.set("oauth", x)
		if len(h.Custom) > 0 {
			w.lost("auth.oauth.custom_providers")
		}
	}
	v.setList("standard_required_attributes", a.RequiredAttributes)
	v.setList("username_attributes", a.UsernameAttributes)
	v.setList("user_verification_types", a.VerificationTypes)
	v.setText("mfa_configuration", a.MFA)
	methods := a.MFAMethods
	if i := slices.Index(methods, "EMAIL"); i >= 0 && w.newer(fmt.Sprintf("auth.mfa_methods[%d]", i), "1.4") {
		methods = slices.DeleteFunc(slices.Clone(methods), func(s string) bool { return s == "EMAIL" })
	}
	v.setList("mfa_methods", methods)
	if p := a.Passwordless; p != nil && !w.newer("auth.passwordless", "1.4") {
		v.set("passwordless", outputsPasswordless.write(p))
	}
	if len(a.Groups) > 0 && !w.newer("auth.groups", "1.3") || a.Groups != nil && !before(w.version, "1.3") {
		v.set("groups", groupList(a.Groups))
	}
	if a.SignUpVerification != "" {
		w.lost("auth.sign_up_verification_method")
	}
	return v
}

// response returns the response type of a, which is "code" unless it says otherwise.
func response(h *OAuth) string {
	if h.Response == "" {
		return "code"
	}
	return h.Response
}

// groupList writes [{"NAME": {"precedence": 1}}].
func groupList(groups []Group) *value {
	v := &value{kind: list}
	for _, g := range groups {
		p := newObject()
		if !g.Unranked {
			p.set("precedence", newNumber(g.Precedence))
		}
		e := newObject()
		e.set(g.Name, p)
		v.items = append(v.items, e)
	}
	return v
}

func (w *writer) gen2Storage(s *Storage) *value {
	v := newObject()
	v.set("aws_region", newText(s.Region))
	v.set("bucket_name", newText(s.Bucket))
	if s.Level != "" {
		w.lost("storage.default_access_level")
	}
	if s.Buckets == nil || len(s.Buckets) == 0 && before(w.version, "1.1") || w.newer("storage.buckets", "1.1") {
		return v
	}
	buckets := &value{kind: list}
	for i, b := range s.Buckets {
		x := newObject()
		x.set("name", newText(b.Name))
		x.set("bucket_name", newText(b.BucketName))
		x.set("aws_region", newText(b.Region))
		path := fmt.Sprintf("storage.buckets[%d].paths", i)
		if b.Paths != nil && !w.newer(path, "1.2") {
			x.set("paths", pathMap(b.Paths, func(p, who string) bool {
				if oldWho(who) || !before(w.version, "1.4") {
					return true
				}
				w.warn(join(path, p)+"."+who, "is a key that the schema of version %s refuses, and left out", w.version)
				return false
			}))
		}
		buckets.items = append(buckets.items, x)
	}
	v.set("buckets", buckets)
	return v
}

// pathMap writes the paths of a bucket, with the keys that keep tells to.
func pathMap(paths map[string]map[string][]string, keep func(path, who string) bool) *value {
	v := newObject()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		x := newObject()
		for _, who := range slices.SortedFunc(maps.Keys(paths[path]), compareWho) {
			if keep(path, who) {
				x.set(who, newList(paths[path][who]))
			}
		}
		v.set(path, x)
	}
	return v
}

// compareWho puts the roles in the order in which people name them.
func compareWho(a, b string) int {
	order := []string{"guest", "authenticated", "entityidentity"}
	rank := func(s string) int {
		if i := slices.Index(order, s); i >= 0 {
			return i
		}
		return len(order)
	}
	if c := rank(a) - rank(b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
