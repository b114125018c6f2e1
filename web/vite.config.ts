import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

import { noFeatureNotifications, systemFont } from './build/cloudscape.ts';
import { site } from './build/site.ts';
import { SECTIONS } from './src/sections.ts';

export default defineConfig({
  plugins: [
    react(),
    systemFont(),
    noFeatureNotifications(),
    site({ sections: SECTIONS, source: process.env['SOURCE'] ?? 'unknown' }),
  ],
  // Cloudscape's messages are parsed already, so nothing needs the parser.
  resolve: {
    alias: {
      '@formatjs/icu-messageformat-parser': '@formatjs/icu-messageformat-parser/lib/no-parser.js',
    },
  },
  build: {
    outDir: process.env['OUT'] ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    cssCodeSplit: false, // one sheet is as small as the parts that a page needs
    assetsInlineLimit: 0, // the policy of the page allows no `data:` fonts or scripts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      output: {
        entryFileNames: 'assets/[name]-[hash].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
        // Each file is a request. What five pages share is one file, which all of them load.
        codeSplitting: { groups: [{ name: 'shared', minShareCount: 5 }] },
      },
    },
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
});
