/* JavaScript code and its tests in two processes: what each runs in the sandbox, alone.
 *
 * `answer` loads the code under test as a CommonJS module and answers requests for its names and calls.
 * `examine` runs the tests, for which those names stand for the functions of the other process. Only values
 * cross, as copies; what has no plain value crosses as a handle, which equals nothing but itself. So the tests,
 * what they expect and how they compare are out of the code's reach.
 *
 * Both read and write the pipes whose descriptors follow the role, synchronously, as the tests do. A message is
 * its length in four bytes and JSON in which an object is always a tagged value: {"tag": [...]}.
 */
'use strict';

const fs = require('node:fs');
const vm = require('node:vm');

const MOST_BYTES = 16 * 1024 * 1024;

class Gone extends Error {}
class Unusable extends Error {}

/* A value that the tests can hold and pass back. The property keeps deepEqual from taking two for equal. */
class Handle {
  constructor(number) {
    Object.defineProperty(this, `object ${number} of the program`, { value: number, enumerable: true });
    this.number = number;
  }
}

class Wire {
  constructor(reading, writing, objects) {
    Object.assign(this, { reading, writing, objects });
  }

  send(message) {
    const body = Buffer.from(JSON.stringify(message.map((value) => encode(value, this.objects))));
    if (body.length > MOST_BYTES) throw new RangeError(`a value of more than ${MOST_BYTES} bytes`);
    const frame = Buffer.alloc(4 + body.length);
    frame.writeUInt32BE(body.length);
    body.copy(frame, 4);
    for (let at = 0; at < frame.length; ) {
      try {
        at += fs.writeSync(this.writing, frame, at);
      } catch (error) {
        throw error.code === 'EPIPE' ? new Gone() : error;
      }
    }
  }

  receive() {
    const size = this.read(4).readUInt32BE();
    if (size > MOST_BYTES) throw new RangeError(`a value of more than ${MOST_BYTES} bytes`);
    const message = JSON.parse(this.read(size).toString());
    if (!Array.isArray(message)) throw new TypeError('a malformed message');
    return message.map((value) => decode(value, this.objects));
  }

  read(size) {
    const data = Buffer.alloc(size);
    for (let at = 0; at < size; ) {
      const count = fs.readSync(this.reading, data, at, size - at, null);
      if (count === 0) throw new Gone();
      at += count;
    }
    return data;
  }
}

function encode(value, objects) {
  switch (typeof value) {
    case 'undefined':
      return { undefined: [] };
    case 'bigint':
      return { bigint: [String(value)] };
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { number: [special(value)] };
    case 'string':
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : encodeObject(value, objects);
    default:
      return { [typeof value]: [objects.handle(value)] };
  }
}

const special = (number) => (Object.is(number, -0) ? '-0' : String(number));

function encodeObject(value, objects) {
  const pairs = (entries) => Array.from(entries, ([key, item]) => [encode(key, objects), encode(item, objects)]);
  if (Array.isArray(value)) {
    const whole = Object.keys(value).length === value.length;
    return whole
      ? Array.from(value, (item) => encode(item, objects))
      : { sparse: [value.length, pairs(Object.entries(value))] };
  }
  switch (Object.prototype.toString.call(value)) {
    case '[object Object]':
      return value instanceof Handle ? { object: [objects.handle(value)] } : { plain: pairs(Object.entries(value)) };
    case '[object Map]':
      return { map: pairs(value.entries()) };
    case '[object Set]':
      return { set: Array.from(value.values(), (item) => encode(item, objects)) };
    case '[object Date]':
      return { date: [encode(Number(value), objects)] };
    case '[object RegExp]':
      return { regexp: [value.source, value.flags] };
    default:
      return { object: [objects.handle(value)] };
  }
}

function decode(value, objects) {
  if (value === null || typeof value !== 'object') return value;
  const each = (items) => items.map((item) => decode(item, objects));
  if (Array.isArray(value)) return each(value);
  const [[tag, parts]] = Object.entries(value);
  switch (tag) {
    case 'undefined':
      return undefined;
    case 'bigint':
      return BigInt(parts[0]);
    case 'number':
      return Number(parts[0]);
    case 'sparse':
      return withProperties(new Array(parts[0]), each(parts[1]));
    case 'plain':
      return withProperties({}, each(parts));
    case 'map':
      return new Map(each(parts));
    case 'set':
      return new Set(each(parts));
    case 'date':
      return new Date(decode(parts[0], objects));
    case 'regexp':
      return new RegExp(parts[0], parts[1]);
    default:
      return objects.object(tag, parts[0]);
  }
}

/* Properties are defined, not assigned: one may be called __proto__. */
function withProperties(target, pairs) {
  for (const [key, value] of pairs) {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return target;
}

/* --- the code's side */

class Objects {
  constructor() {
    this.known = [];
  }

  handle(value) {
    const number = this.known.indexOf(value);
    return number >= 0 ? number : this.known.push(value) - 1;
  }

  object(_tag, number) {
    return this.known[number];
  }
}

function answer(reading, writing) {
  const wire = new Wire(reading, writing, new Objects());
  const resolve = load(wire, fs.readFileSync('/sandbox/program.js', 'utf8'));
  if (resolve === null) return;
  wire.send(['loaded']);
  for (;;) {
    const [verb, subject, parameters] = wire.receive();
    let reply;
    try {
      reply = ['value', verb === 'name' ? resolve(subject) : subject(...parameters)];
    } catch (error) {
      reply = raised(error);
    }
    try {
      wire.send(reply);
    } catch (error) {
      if (error instanceof Gone) throw error;
      wire.send(raised(error)); // the value could not be copied
    }
  }
}

/* The function that finds a name in the code's scope; null when there is none, which has been told. */
function load(wire, source) {
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname'];
  const module = { exports: {} };
  let body;
  try {
    body = vm.compileFunction(`${source}\n;return (name) => eval(name);`, parameters, { filename: 'program.js' });
  } catch (error) {
    wire.send(['unparsable', String(error)]);
    return null;
  }
  try {
    return body.call(module.exports, module.exports, require, module, '/tmp/program.js', '/tmp');
  } catch (error) {
    wire.send(raised(error));
    return null;
  }
}

function raised(error) {
  let text = 'an exception';
  try {
    text = String(error).slice(0, 2000);
  } catch {
    // the text is made by the code under test
  }
  return ['raised', text];
}

/* --- the tests' side */

class Asks {
  constructor(reading, writing) {
    this.wire = new Wire(reading, writing, this);
    this.numbers = new Map();
    this.remotes = new Map();
    this.gone = false;
  }

  handle(value) {
    if (!this.numbers.has(value)) throw new Unusable(`the tests pass a ${typeof value}, which cannot be copied`);
    return this.numbers.get(value);
  }

  object(tag, number) {
    if (!this.remotes.has(number)) {
      const remote =
        tag === 'function' ? (...parameters) => this.ask('call', remote, parameters) : new Handle(number);
      this.remotes.set(number, remote);
      this.numbers.set(remote, number);
    }
    return this.remotes.get(number);
  }

  ask(...request) {
    let verb, value;
    try {
      this.wire.send(request);
      [verb, value] = this.wire.receive();
    } catch (error) {
      this.gone ||= error instanceof Gone;
      throw error;
    }
    if (verb !== 'value') throw new Error(String(value));
    return value;
  }
}

/* Runs the tests and reports on standard output: a verdict on the first line, what was wrong below. */
function examine(reading, writing) {
  for (const name of ['log', 'info', 'debug']) console[name] = console.error;
  const [verdict, detail] = examined(new Asks(reading, writing), fs.readFileSync('/sandbox/tests.js', 'utf8'));
  fs.writeSync(1, `${verdict}\n${detail}`);
}

function examined(asks, source) {
  let tests;
  try {
    tests = vm.runInThisContext(`(function (require, names) { with (names) { (function () {\n${source}\n})(); } })`, {
      filename: 'tests.js',
      lineOffset: -1,
    });
  } catch (error) {
    return ['not_compiled', `the problem's tests are not JavaScript: ${error}`];
  }
  try {
    const [verb, text] = asks.wire.receive();
    const said = typeof text === 'string' ? text : ''; // an object may refuse to become text
    if (verb === 'unparsable') return ['not_compiled', said];
    if (verb !== 'loaded') return ['failed', said];
    tests(require, codeNames(asks));
  } catch (error) {
    if (asks.gone || error instanceof Gone) return ['ended_early', ''];
    if (error instanceof Unusable) return ['unusable', error.message];
    return ['failed', described(error, source)];
  }
  return asks.gone ? ['ended_early', ''] : ['passed', ''];
}

/* The error, and the line of the tests where it was thrown, unless the code put another number there. */
function described(error, source) {
  const line = Number(/tests\.js:(\d+)/.exec(error.stack)?.[1]);
  const where = line ? `\nin line ${line} of the tests: ${(source.split('\n')[line - 1] ?? '').trim()}` : '';
  return `${error.message}${where}`;
}

/* The scope around the tests: whatever they and Node do not define is a name of the code. */
function codeNames(asks) {
  const values = new Map();
  return new Proxy(Object.create(null), {
    has: (_target, name) => typeof name === 'string' && name !== 'require' && !(name in globalThis),
    get: (_target, name) => {
      if (typeof name !== 'string') return undefined;
      if (!values.has(name)) values.set(name, asks.ask('name', name));
      return values.get(name);
    },
  });
}

const [role, reading, writing] = process.argv.slice(2);
try {
  (role === 'examine' ? examine : answer)(Number(reading), Number(writing));
} catch (error) {
  if (!(error instanceof Gone)) throw error;
}
process.exit(0); // without waiting for what the code left in the event loop
