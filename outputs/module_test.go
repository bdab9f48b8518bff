package outputs

import (
	"strings"
	"testing"
)

// TestModule reads what people have around the object, and never code.
func TestModule(t *testing.T) {
	const config = `{ aws_project_region: 'r', aws_user_files_s3_bucket: "b", aws_user_files_s3_bucket_region: ` + "`r`" + `, }`
	for _, text := range []string{
		config,
		"\ufeff" + config,
		"// x\n" + config + " // y",
		"const awsmobile = " + config + ";\nexport default awsmobile;\n",
		"const awsmobile = " + config + "\nexport default awsmobile",
		"/* eslint-disable */\n'use strict';\nvar a = " + config + "\nmodule.exports = a;",
		"module.exports = " + config,
		"exports.default = " + config,
		"module.exports.default = " + config,
		"export default " + config,
		"export const amplifyConfig = " + config + " as const;",
		"export const c = " + config + "; export default c;",
		"const c: Record<string, any> = " + config + " satisfies a.b; export default c as any;",
		"let n = 1\nlet c = " + config + "\nAmplify.configure(c)",
		"import { Amplify } from 'aws-amplify';\nimport \"./x.css\";\nAmplify.configure(" + config + ");",
		"const c = " + config,
	} {
		o, err := Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if o.Storage == nil || o.Storage.Bucket != "b" || o.Storage.Region != "r" || o.Format != AWSExports {
			t.Errorf("%s: got %+v", text, o)
		}
	}
	for text, says := range map[string]string{
		"const a = {aws_project_region: process.env.REGION}": `aws-exports.js:1:32: "process" is code`,
		"const a = {b: `x${y}`}":                             `"${" is code`,
		"const a = {b: require('./c')}":                      `"require" is code`,
		"const a = {b() {}}":                                 "want a colon",
		"const a = {...b}":                                   "want a key",
		"const a = {['b']: 1}":                               "want a key",
		"const a = {b: 'c' + 'd'}":                           "want a comma",
		"const a = {b: 'c\n'}":                               "no end in its line",
		"const a = {b: 0x10}":                                "no number",
		"const a = {b: '\\x41'}":                             "escape is not known",
		"const a = {} /* no end":                             "comment has no end",
		"const a = {}; const b = {};":                        "no module that exports one object",
		"export default {}; export default {};":              "second configuration",
		"const a = {}; export default b;":                    "nothing here is called b",
		"function f() {}":                                    "no module",
		"export default [1]":                                 "want an object",
		"const a = [1]":                                      "must be an object",
		"while (true) {}":                                    "no module",
	} {
		_, err := ReadAs(strings.NewReader(text), &ReadOptions{Name: "aws-exports.js"})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v, want %q", text, err, says)
		}
	}
}
