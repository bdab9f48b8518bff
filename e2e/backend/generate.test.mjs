// The recorded answers that the Go tests trust are those of the real generator.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { generate } from './generate.mjs';

const read = (name) => JSON.parse(readFileSync(new URL(`../../access/testdata/${name}`, import.meta.url)));

for (const name of ['access-rules.json', 'amplify-random.json']) {
	test(`the generator answers as recorded in ${name}`, () => {
		const { cases } = read(name);
		assert.ok(cases.length >= 24);
		for (const { name, access, ...want } of cases) {
			assert.deepEqual(generate(access), want, name);
		}
	});
}
