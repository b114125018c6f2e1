import type { Plugin } from 'vite';

const FACE = /@font-face\s*\{[^}]*\}/g;

/** Removes the fonts that Cloudscape embeds in its style sheet; `src/style.css` names the files. */
export function fontsAsFiles(): Plugin {
  return {
    name: 'fonts-as-files',
    enforce: 'pre',
    transform(code, id) {
      return id.includes('global-styles/index.css') ? code.replace(FACE, '') : null;
    },
  };
}
