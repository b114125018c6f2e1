/* eslint-disable @typescript-eslint/no-deprecated -- one overload of `createElement` is; this is not it */
/** Gives spans a `style` attribute by properties, for the cells of a terminal: see below. */
export function allowSpanStyles(): void {
  HTMLSpanElement.prototype.setAttribute = function (name: string, value: string) {
    if (name === 'style') this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };
}

/**
 * The document that xterm builds its elements with. The page's policy allows no `<style>` and no
 * `style` attribute, which xterm makes; here they become an adopted style sheet and properties of
 * `element.style`, which it allows.
 */
export function terminalDocument(): Document {
  const make = document.createElement.bind(document);
  const createElement = (tag: string): HTMLElement => {
    if (tag === 'style') return styling(make('span'));
    return make(tag);
  };
  return new Proxy(document, {
    get(target, name) {
      if (name === 'createElement') return createElement;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** An element whose text is an adopted style sheet, for as long as it is there. */
function styling(element: HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet();
  const remove = element.remove.bind(element);
  element.hidden = true;
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, 'textContent', {
    set: (text: string) => {
      sheet.replaceSync(text);
    },
  });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((it) => it !== sheet);
    remove();
  };
  return element;
}

/**
 * Does what builds elements with the window's own document, whatever document it is given: xterm
 * makes one of its style elements so.
 */
export function withDocument(ours: Document, build: () => void): void {
  document.createElement = ours.createElement.bind(ours);
  try {
    build();
  } finally {
    Reflect.deleteProperty(document, 'createElement');
  }
}
