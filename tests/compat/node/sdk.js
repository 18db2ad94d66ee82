// Calls the Node SDK on behalf of the tests: one JSON object a line in, one JSON object a line out.
'use strict';

const readline = require('node:readline');
const COS = require('cos-nodejs-sdk-v5');

const clients = new Map();

function client(options) {
  const key = JSON.stringify(options);
  if (!clients.has(key)) {
    clients.set(key, new COS(options));
  }
  return clients.get(key);
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { options, params } = JSON.parse(line);
  client(options).request(params, (error, data) => {
    const answer = error
      ? { error: { code: error.code, message: error.message, error: error.error, statusCode: error.statusCode } }
      : { data };
    const headers = (error || data).headers || {};
    process.stdout.write(JSON.stringify({ ...answer, headers }) + '\n');
  });
});
