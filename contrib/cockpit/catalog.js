// What the device's builds contain: a component is looked for by its name.
import { Notice, able, button, say } from './act.js';
import { el, fill, row, table } from './dom.js';
import { request } from './edged.js';
import { printable } from './text.js';

const mostPackages = 500;

// catalog searches for the component that the address names, which a search changes.
export function catalog(_device, component, page) {
    const notice = new Notice();
    const content = el('div', { role: 'region', 'aria-label': 'Builds' });
    const input = el('input', { type: 'search', id: 'component', name: 'component', autocomplete: 'off', spellcheck: 'false', maxlength: '300' });
    input.value = component ?? '';
    const form = el('form', { role: 'search', submit: event => {
        event.preventDefault();
        go(input.value.trim(), 1);
    } }, el('label', { for: 'component' }, 'Component'), input, el('button', { type: 'submit', class: 'primary' }, 'Search'));

    const go = (name, number) => {
        const path = name ? ['catalog', name, String(number)] : ['catalog'];
        // The same search again is no change of the address.
        if (JSON.stringify(path) === JSON.stringify(cockpit.location.path))
            load();
        else
            cockpit.location.go(path);
    };
    const number = Math.max(1, parseInt(page, 10) || 1);
    const load = async () => {
        if (!component) {
            fill(content, el('p', { class: 'empty' }, 'A component is a source package: openssl is what libssl3 and libcrypto3 are made of.'));
            return;
        }
        const query = new URLSearchParams({ component_name: component, page: String(number), exclude_fields: 'modulemd' });
        try {
            const answer = await request('GET', '/rest_api/v1/modules/?' + query);
            notice.clear();
            show(answer);
        } catch (failure) {
            fill(content);
            notice.show(failure, null, failure.status >= 400 && failure.status < 500 ? null : load);
        }
    };
    const show = answer => {
        const words = answer.count === 0
            ? `No build on this device contains ${printable(component)}, as far as their packages could be read.`
            : `${answer.count} ${answer.count === 1 ? 'build contains' : 'builds contain'} ${printable(component)}`;
        say(words);
        const before = button('Previous', () => go(component, number - 1));
        const after = button('Next', () => go(component, number + 1));
        able(before, Boolean(answer.previous));
        able(after, Boolean(answer.next));
        fill(content, el('p', { class: answer.count === 0 ? 'empty' : '' }, words),
             answer.results.length > 0 && table('Builds', ['Build', 'Stream', 'Version', 'State', 'Packages'], answer.results.map(one)).element,
             (answer.next || answer.previous) && el('div', { class: 'actions' }, before, after));
    };
    const element = el('section', { 'aria-labelledby': 'catalog' }, el('h2', { id: 'catalog' }, 'Catalog'), form, notice.element, content);
    load();
    return { element, back: load };
}

function one(b) {
    const rpms = b.rpms ?? [];
    const names = rpms.slice(0, mostPackages).map(name => el('li', {}, el('code', {}, printable(name))));
    return row(
        ['Build', printable(b.name), el('span', { class: 'small' }, printable(b.uid))],
        ['Stream', printable(b.stream)],
        ['Version', printable(b.version)],
        ['State', el('span', { class: 'state ' + (b.active ? 'good' : 'still') }, b.active ? 'in use' : 'not in use')],
        ['Packages', rpms.length === 0 ? 'none' : el('details', {}, el('summary', {}, rpms.length === 1 ? '1 package' : `${rpms.length} packages`),
                                                      el('ul', { class: 'packages' }, names,
                                                         rpms.length > mostPackages ? el('li', {}, `and ${rpms.length - mostPackages} more`) : null))]);
}
