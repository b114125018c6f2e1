import { lazy, Suspense } from 'react';
import { Route, Routes, useLocation } from 'react-router';

import { Home } from '../pages/Home';
import { NotFound } from '../pages/NotFound';
import { t } from '../strings';
import { PageBoundary } from './PageBoundary';

const Workspaces = lazy(() => import('../pages/Workspaces'));
const Workspace = lazy(() => import('../pages/Workspace'));
const Launch = lazy(() => import('../pages/Launch'));
const Templates = lazy(() => import('../pages/Templates'));
const Projects = lazy(() => import('../pages/Projects'));
const Project = lazy(() => import('../pages/Project'));
const Costs = lazy(() => import('../pages/Costs'));
const Storage = lazy(() => import('../pages/Storage'));
const Idle = lazy(() => import('../pages/Idle'));
const Events = lazy(() => import('../pages/Events'));
const Settings = lazy(() => import('../pages/Settings'));
const Template = lazy(() => import('../pages/Template'));

/** Which page an address shows. */
export function Pages() {
  const { pathname } = useLocation();
  return (
    <PageBoundary key={pathname}>
      <Suspense fallback={<div role="status" aria-label={t.loading(t.page)} />}>
        <Routes>
          <Route path="/" element={<Home />} />
          <Route path="/workspaces" element={<Workspaces />} />
          <Route path="/workspaces/:name" element={<Workspace />} />
          <Route path="/launch" element={<Launch />} />
          <Route path="/templates" element={<Templates />} />
          <Route path="/templates/:slug" element={<Template />} />
          <Route path="/projects" element={<Projects />} />
          <Route path="/projects/:name" element={<Project />} />
          <Route path="/costs" element={<Costs />} />
          <Route path="/storage" element={<Storage />} />
          <Route path="/idle" element={<Idle />} />
          <Route path="/events" element={<Events />} />
          <Route path="/settings" element={<Settings />} />
          <Route path="*" element={<NotFound />} />
        </Routes>
      </Suspense>
    </PageBoundary>
  );
}
