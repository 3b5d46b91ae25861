// What a module does, in a word and a colour, and what can be done about it. The list and a module's own page show the same.
import { able, ask, attempt, button } from './act.js';
import { el, set } from './dom.js';
import { request, versioned } from './edged.js';
import { printable } from './text.js';

const colours = { running: 'good', stopped: 'still', failed: 'bad', dead: 'bad', unhealthy: 'bad', starting: 'warn', unknown: 'warn' };

// State is the word, with the health of a module that has a check.
export class State {
    constructor() {
        this.element = el('span', { class: 'state' });
    }

    show(m) {
        const word = m.health && m.health !== 'healthy' ? m.health : m.status;
        this.element.className = 'state ' + (colours[word] ?? 'warn');
        set(this.element, m.health ? `${m.status}, ${m.health}` : m.status || 'unknown');
    }
}

const does = [
    ['start', 'Start', 'was started', m => m.status !== 'running'],
    ['stop', 'Stop', 'was stopped', m => m.status === 'running'],
    ['restart', 'Restart', 'was restarted', () => true],
];

// Actions are the three buttons of a module; failures are told in notice.
export class Actions {
    constructor(name, notice) {
        this.name = name;
        this.buttons = does.map(([verb, label, done]) => button(label, () => this.#do(verb, done, notice), { name: `${label} ${printable(name)}` }));
        this.element = el('div', { class: 'actions', role: 'group', 'aria-label': `What to do with ${printable(name)}` }, this.buttons);
    }

    show(m) {
        does.forEach(([, , , can], i) => able(this.buttons[i], can(m)));
    }

    async #do(verb, done, notice) {
        if (verb === 'stop' && this.name === 'edgeAgent' && !await ask(
            'Stop edgeAgent? It makes the device match its deployment; nothing does so until it is started again.', 'Stop edgeAgent'))
            return;
        await attempt(notice, null, `${printable(this.name)} ${done}`,
                      () => request('POST', versioned(`/modules/${encodeURIComponent(this.name)}/${verb}`)));
    }
}
