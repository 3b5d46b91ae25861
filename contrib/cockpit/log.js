// A module's log, which follows.
import { Notice, button } from './act.js';
import { el, fill } from './dom.js';
import { versioned } from './edged.js';
import { Lines, multiplexed } from './frames.js';
import { follow } from './stream.js';
import { printable } from './text.js';

const firstLines = 500;
const mostLines = 2000;

// Log shows the last lines and each new one, as long as it is open.
export class Log {
    constructor(name) {
        this.name = name;
        this.waiting = [];
        this.notice = new Notice();
        this.lines = el('div', { class: 'log', role: 'log', 'aria-label': `Log of ${printable(name)}`, 'aria-live': 'off', tabindex: '0' });
        this.empty = el('p', { class: 'empty' }, 'Nothing was printed yet.');
        this.empty.hidden = true;
        this.followed = el('input', { type: 'checkbox', id: 'follow' });
        this.followed.checked = true;
        this.times = el('input', { type: 'checkbox', id: 'times', change: () => this.open() });
        this.lines.addEventListener('scroll', () => {
            // Who scrolls back wants to read; who comes to the end wants the next line.
            this.followed.checked = this.#atEnd();
        });
        this.followed.addEventListener('change', () => this.#toEnd());
        this.element = el('section', { 'aria-labelledby': 'log' },
                          el('div', { class: 'bar' }, el('h3', { id: 'log' }, 'Log'),
                             el('label', {}, this.followed, 'Follow'),
                             el('label', {}, this.times, 'Times'),
                             button('Read anew', () => this.open())),
                          this.notice.element, this.empty, this.lines);
    }

    // open reads the log from its last lines on; what was shown goes when the new answer begins.
    open() {
        this.close();
        const lines = new Lines();
        const query = { follow: 'true', tail: String(firstLines), timestamps: String(this.times.checked) };
        this.stop = follow(versioned(`/modules/${encodeURIComponent(this.name)}/logs`, query), {
            headers: { Accept: multiplexed },
            begun: () => {
                this.notice.clear();
                this.waiting = [];
                fill(this.lines);
                // Only a log that stays empty is said to be: the first lines come right behind.
                window.setTimeout(() => {
                    this.empty.hidden = this.lines.childElementCount + this.waiting.length > 0;
                }, 500);
                this.followed.checked = true;
            },
            data: bytes => this.#add(lines.take(bytes)),
            end: failure => {
                this.stop = null;
                // That edged went away is told above, and the log is read anew when it is back.
                if (failure?.status)
                    this.notice.show(failure);
            },
        });
    }

    close() {
        this.stop?.();
        this.stop = null;
    }

    // A module may print faster than a browser paints: lines are gathered for the next frame, and no more than are shown.
    #add(lines) {
        if (lines.length === 0)
            return;
        const first = this.waiting.length === 0;
        this.waiting.push(...lines);
        if (this.waiting.length > 2 * mostLines)
            this.waiting.splice(0, this.waiting.length - mostLines);
        if (first)
            window.setTimeout(() => this.#paint(), 50);
    }

    #paint() {
        const keep = this.followed.checked;
        this.lines.append(...this.waiting.slice(-mostLines).map(({ text, error }) =>
            el('div', { class: error ? 'line error' : 'line' }, error && el('span', { class: 'unseen' }, 'standard error: '), printable(text, '\t'))));
        this.waiting = [];
        while (this.lines.childElementCount > mostLines)
            this.lines.firstChild.remove();
        this.empty.hidden = this.lines.childElementCount > 0;
        if (keep)
            this.#toEnd();
    }

    #atEnd() {
        return this.lines.scrollTop + this.lines.clientHeight >= this.lines.scrollHeight - 4;
    }

    #toEnd() {
        if (this.followed.checked)
            this.lines.scrollTop = this.lines.scrollHeight;
    }
}
