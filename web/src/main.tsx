import '@cloudscape-design/global-styles/index.css';
import './style.css';

import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router';

import { ApiError } from './api/errors';
import { App } from './app/App';
import { applyAppearance } from './lib/appearance';
import { restoreSettings } from './lib/settings';

applyAppearance();
void restoreSettings();
const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity, // events say what is out of date
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      networkMode: 'always', // the daemon is on this machine, whatever the network does
      retry: (count, error) => !(error instanceof ApiError) && count < 2,
    },
    mutations: { networkMode: 'always' },
  },
});
const root = document.getElementById('app');
if (root === null) throw new Error('index.html has no #app');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      {/* Text fields are in the address: in a transition, letters that are typed fast get lost. */}
      <BrowserRouter useTransitions={false}>
        <App />
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);
