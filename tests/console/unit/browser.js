// What modules of the console expect of a browser.

class Storage {
  constructor() {
    /** @type {Map<string, string>} */
    this.values = new Map();
  }
  getItem(name) {
    return this.values.get(name) ?? null;
  }
  setItem(name, value) {
    this.values.set(name, String(value));
  }
  removeItem(name) {
    this.values.delete(name);
  }
}

globalThis.sessionStorage = new Storage();
globalThis.localStorage = new Storage();
globalThis.location = { host: "127.0.0.1:8787", pathname: "/console", search: "", hash: "" };
globalThis.document = { hidden: false, documentElement: {}, addEventListener() {}, removeEventListener() {} };
