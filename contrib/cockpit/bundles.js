// OSGi bundles, and what the framework says of them.
import { Notice, able, ask, attempt, button } from './act.js';
import { el, fill, row, table } from './dom.js';
import { request } from './edged.js';
import { printable, size } from './text.js';

const root = '/modules/api/bundles';
const permission = 'adminTemplates';
const colours = { ACTIVE: 'good', STARTING: 'warn', STOPPING: 'warn' };

// bundles shows them all.
export function bundles() {
    const notice = new Notice();
    const trouble = el('p', { class: 'trouble', role: 'status' });
    const content = el('div', {});
    const load = async () => {
        try {
            const answer = await request('GET', root + '/_list');
            notice.clear();
            fill(trouble, answer.trouble ? 'No states are known: ' + printable(answer.trouble) : null);
            fill(content, answer.bundles.length > 0
                ? table('Bundles', ['Bundle', 'State', 'Size', 'Actions'], answer.bundles.map(one)).element
                : el('p', { class: 'empty' }, 'No bundle is installed on this device. edgectl bundles install brings one.'));
        } catch (failure) {
            fill(trouble);
            notice.show(failure, permission, failure.forbidden ? null : load);
        }
    };
    const one = b => {
        const key = printable(b.key);
        const own = new Notice();
        const act = (op, done) => attempt(own, permission, `${key} ${done}`,
                                          () => request('POST', `${root}/${b.key.split('/').map(encodeURIComponent).join('/')}/_${op}`));
        // A list that is made anew has other buttons: who used the keyboard is to find the same one again.
        const change = (label, op, done) => button(label, async () => {
            if (await act(op, done)) {
                await load();
                [...content.querySelectorAll('button')].find(other => other.getAttribute('aria-label') === `${label} ${key}`)?.focus();
            }
        }, { name: `${label} ${key}` });
        const start = change('Start', 'start', 'was started');
        const stop = change('Stop', 'stop', 'was stopped');
        able(start, b.state !== 'ACTIVE');
        able(stop, b.state === 'ACTIVE' || b.wanted);
        const remove = button('Uninstall', async () => {
            if (await ask(`Uninstall the bundle ${key}?`, 'Uninstall') && await act('uninstall', 'was uninstalled'))
                await load();
        }, { name: `Uninstall ${key}`, kind: 'danger' });
        return row(
            ['Bundle', key, el('span', { class: 'small' }, [b.name, b.vendor].filter(Boolean).map(text => printable(text)).join(', '))],
            ['State', el('span', { class: 'state ' + (colours[b.state] ?? 'still') }, b.state ? printable(b.state) : 'not known'),
             b.wanted && b.state !== 'ACTIVE' ? el('span', { class: 'small' }, 'is to run') : null],
            ['Size', size(b.size)],
            ['Actions', el('div', { class: 'actions' }, start, stop, remove), own.element]);
    };
    const element = el('section', { 'aria-labelledby': 'bundles' },
                       el('div', { class: 'bar' }, el('h2', { id: 'bundles' }, 'Bundles'), button('Refresh', load)),
                       notice.element, trouble, content);
    load();
    return { element, back: load };
}
