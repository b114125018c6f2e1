import { lazy, Suspense } from 'react';
import { Route, Routes, useLocation } from 'react-router';

import { Home } from '../features/home/Home';
import { NotFound } from '../ui/NotFound';
import { t } from '../strings';
import { PageBoundary } from './PageBoundary';

const Workspaces = lazy(() => import('../features/workspaces/table/Workspaces'));
const Workspace = lazy(() => import('../features/workspaces/Workspace'));
const Launch = lazy(() => import('../features/launch/Launch'));
const Templates = lazy(() => import('../features/templates/Templates'));
const Projects = lazy(() => import('../features/projects/Projects'));
const Project = lazy(() => import('../features/projects/Project'));
const ClassBoard = lazy(() => import('../features/classes/ClassBoard'));
const Costs = lazy(() => import('../features/money/Costs'));
const Storage = lazy(() => import('../features/storage/Storage'));
const Idle = lazy(() => import('../features/idle/Idle'));
const Events = lazy(() => import('../features/events/Events'));
const Notices = lazy(() => import('../features/notices/Notices'));
const Settings = lazy(() => import('../features/system/Settings'));
const Shared = lazy(() => import('../features/sharing/Shared'));
const SharedTerminal = lazy(() => import('../features/sharing/SharedTerminal'));
const Template = lazy(() => import('../features/templates/Template'));

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
          <Route path="/projects/:name/class" element={<ClassBoard />} />
          <Route path="/costs" element={<Costs />} />
          <Route path="/storage" element={<Storage />} />
          <Route path="/idle" element={<Idle />} />
          <Route path="/events" element={<Events />} />
          <Route path="/shared" element={<Shared />} />
          <Route path="/shared/:id" element={<SharedTerminal />} />
          <Route path="/notices" element={<Notices />} />
          <Route path="/settings" element={<Settings />} />
          <Route path="*" element={<NotFound />} />
        </Routes>
      </Suspense>
    </PageBoundary>
  );
}
