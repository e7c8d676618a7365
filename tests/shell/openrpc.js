// SPDX-License-Identifier: MIT
// Is the JSON on stdin an OpenRPC document? Judged by OpenRPC's own published schema; says what is wrong, if anything.
'use strict';
const Ajv = require('ajv');
const schema = require('@open-rpc/meta-schema').openrpcDocument;
const jsonSchema = require('@json-schema-tools/meta-schema').jsonSchema;

const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, logger: false });
ajv.addSchema(jsonSchema, 'https://meta.json-schema.tools');
const validate = ajv.compile({ ...schema, $schema: undefined });
if (!validate(JSON.parse(require('fs').readFileSync(0, 'utf8')))) {
	for (const error of validate.errors)
		console.log(`${error.instancePath || '/'}: ${error.message}`);
	process.exit(1);
}
