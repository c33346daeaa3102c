// What stays in the browser: conversations, personas and presets, in IndexedDB. Nothing of it is sent anywhere but to the model.
const NAME = "systemgemma", VERSION = 1;

let opened = null;

function open() {
  opened ||= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("conversations", { keyPath: "id" });
      request.result.createObjectStore("settings");
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close(); // a newer page in another tab
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds an older version of the storage; close it"));
  });
  return opened;
}

// run does one transaction and resolves to what use returns a request for, once it is stored.
async function run(store, mode, use) {
  const db = await open();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(store, mode);
    let result;
    use(transaction.objectStore(store), (value) => { result = value; });
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error || new Error("the browser refused to store"));
  });
}

export const conversations = () => run("conversations", "readonly", (s, done) => { s.getAll().onsuccess = (e) => done(e.target.result); });

// put stores a conversation as its next revision and resolves to that. It resolves to 0, and stores nothing, if another tab has
// stored it since it was read.
export const put = (conversation) => run("conversations", "readwrite", (s, done) => {
  s.get(conversation.id).onsuccess = (e) => {
    const stored = e.target.result;
    if (stored && stored.revision !== conversation.revision) return done(0);
    const revision = conversation.revision + 1;
    s.put({ ...conversation, revision });
    done(revision);
  };
});

export const drop = (id) => run("conversations", "readwrite", (s) => { s.delete(id); });

export const setting = (name) => run("settings", "readonly", (s, done) => { s.get(name).onsuccess = (e) => done(e.target.result); });
export const keep = (name, value) => run("settings", "readwrite", (s) => { s.put(value, name); });
