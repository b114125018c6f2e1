import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import { queries } from '../../api/queries';
import { AppearanceChoice } from './AppearanceChoice';
import { AsCommand } from '../../ui/AsCommand';
import { DaemonStatus } from './DaemonStatus';
import { DesktopNotices } from './DesktopNotices';
import { DoctorFindings } from './DoctorFindings';
import { Loaded } from '../../ui/Loaded';
import { NoticeSettings, WebhookTable } from '../notices/NoticeSettings';
import { LimitTable, OwnLimits } from '../people/LimitTable';
import { ProfileTable } from './ProfileTable';
import { SessionTable } from '../people/SessionTable';
import { TokenTable } from '../people/TokenTable';
import { Upkeep } from './Upkeep';
import { settingsOf } from '../../lib/equivalentsOfSettings';
import { useMe } from '../../lib/me';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';
import { texts } from './texts';

type Tab = keyof typeof texts.tabs;

/** How the daemon is, what is wrong, where workspaces run, how this looks. */
export default function Settings() {
  const status = useQuery(queries.status);
  const profiles = useQuery(queries.profiles);
  const tokens = useQuery(queries.tokens);
  const me = useMe();
  const [search, change] = useSearch();
  const operator = me?.operator === true;
  const isPerson = me?.token_project === null;
  const tabs: Record<Tab, ReactNode> = {
    computer: (
      <SpaceBetween size="l">
        <Loaded query={status} what={t.system.daemon}>
          {(it) => <DaemonStatus status={it} />}
        </Loaded>
        {operator && <DoctorFindings />}
        {operator && <Upkeep />}
      </SpaceBetween>
    ),
    profiles: (
      <Loaded query={profiles} what={t.system.profiles}>
        {(list) => <ProfileTable profiles={list} />}
      </Loaded>
    ),
    access: (
      <SpaceBetween size="l">
        <Loaded query={tokens} what={t.tokens.title}>
          {(list) => <TokenTable tokens={list} />}
        </Loaded>
        {me?.shared === true && isPerson && <SessionTable />}
        {operator && <LimitTable project={null} />}
        <OwnLimits />
      </SpaceBetween>
    ),
    notices: (
      <SpaceBetween size="l">
        {isPerson && <NoticeSettings />}
        {isPerson && <WebhookTable />}
        <DesktopNotices />
      </SpaceBetween>
    ),
    appearance: <AppearanceChoice />,
  };
  const wanted = search.get('tab') ?? '';
  const first = 'computer';
  return (
    <ContentLayout
      header={
        <Header variant="h1" actions={<AsCommand equivalents={settingsOf()} />}>
          {t.pages.settings}
        </Header>
      }
    >
      <Tabs
        ariaLabel={texts.parts}
        activeTabId={Object.hasOwn(tabs, wanted) ? wanted : first}
        onChange={({ detail }) =>
          change({ tab: detail.activeTabId === first ? null : detail.activeTabId })
        }
        tabs={Object.entries(tabs).map(([id, content]) => ({
          id,
          label: texts.tabs[id as Tab],
          content,
        }))}
      />
    </ContentLayout>
  );
}
