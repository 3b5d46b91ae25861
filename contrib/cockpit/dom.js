// Elements are made here and nowhere else, and a text becomes a text node: what a module prints or is called is never read as markup.

// el makes an element. Attributes are strings, true for one without a value, or a function for an event; their names are written in this code
// and never data. Children are nodes and texts; null and false are left out.
export function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === 'function')
            element.addEventListener(name, value);
        else if (value === true)
            element.setAttribute(name, '');
        else if (value !== false && value !== null && value !== undefined)
            element.setAttribute(name, value);
    }
    fill(element, ...children);
    return element;
}

// fill gives an element other children.
export function fill(element, ...children) {
    element.replaceChildren(...children.flat().filter(child => child !== null && child !== false && child !== undefined));
}

// set writes a text when it is another: an element that is written anew loses what the user has selected in it.
export function set(element, text) {
    if (element.textContent !== text)
        element.textContent = text;
}

// table makes a table that becomes a card a row where the screen is narrow. Roles are said, because such a layout takes a table's own away.
export function table(label, columns, rows = []) {
    const head = columns.map(name => el('th', { role: 'columnheader', scope: 'col' }, name));
    const body = el('tbody', { role: 'rowgroup' }, rows);
    return {
        body,
        element: el('table', { role: 'table', 'aria-label': label },
                    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, head)), body),
    };
}

// row is one of a table's; a cell is [its column, children...], the first is the row's header.
export function row(...cells) {
    return el('tr', { role: 'row' }, cells.map(([column, ...children], i) => i === 0
        ? el('th', { role: 'rowheader', scope: 'row' }, children)
        : el('td', { role: 'cell', 'data-column': column }, children)));
}

// facts is a list of names and what is so of them; those without a value are left out.
export function facts(pairs) {
    return el('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '').map(
        ([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}
