// What edged tells of its modules, kept up to date by its events, over interruptions.
import { versioned } from './edged.js';
import { follow } from './stream.js';

const firstPause = 500;
const longestPause = 10_000;
const maxLine = 1 << 20;

// Device has modules, a Map by name of what the events say of each, and connected. failure says why not, null while it is the first time.
// Its events: "modules" when a module changed, "connection" when connected or failure did.
export class Device extends EventTarget {
    constructor() {
        super();
        this.modules = new Map();
        this.connected = false;
        this.failure = null;
        this.pause = firstPause;
    }

    // open begins, and goes on until the page is left.
    open() {
        window.clearTimeout(this.timer);
        this.close?.();
        const seen = new Map();
        let rest = '';
        const decoder = new TextDecoder();
        this.close = follow(versioned('/events', { initial: 'true' }), {
            data: bytes => {
                const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
                rest = lines.pop();
                if (rest.length > maxLine)
                    rest = '';
                for (const line of lines)
                    this.#take(line, seen);
            },
            end: failure => {
                this.close = null;
                this.connected = false;
                this.failure = failure;
                this.dispatchEvent(new Event('connection'));
                this.timer = window.setTimeout(() => this.open(), this.pause);
                this.pause = Math.min(this.pause * 2, longestPause);
            },
        });
    }

    #take(line, seen) {
        let event;
        try {
            event = JSON.parse(line);
        } catch {
            return;
        }
        switch (event.kind) {
        case 'present':
            seen.set(event.module, event);
            return;
        case 'ready':
            this.modules = seen;
            this.connected = true;
            this.failure = null;
            this.pause = firstPause;
            this.dispatchEvent(new Event('connection'));
            break;
        case 'deleted':
            this.modules.delete(event.module);
            break;
        default:
            this.modules.set(event.module, event);
        }
        this.dispatchEvent(new Event('modules'));
    }
}
