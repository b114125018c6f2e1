import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

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
import { t } from '../../strings';

/** How the daemon is, what is wrong, where workspaces run, how this looks. */
export default function Settings() {
  const status = useQuery(queries.status);
  const profiles = useQuery(queries.profiles);
  const tokens = useQuery(queries.tokens);
  const me = useMe();
  return (
    <ContentLayout
      header={
        <Header variant="h1" actions={<AsCommand equivalents={settingsOf()} />}>
          {t.pages.settings}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Loaded query={status} what={t.system.daemon}>
          {(it) => <DaemonStatus status={it} />}
        </Loaded>
        {me?.operator === true && <DoctorFindings />}
        {me?.operator === true && <Upkeep />}
        <Loaded query={profiles} what={t.system.profiles}>
          {(list) => <ProfileTable profiles={list} />}
        </Loaded>
        <Loaded query={tokens} what={t.tokens.title}>
          {(list) => <TokenTable tokens={list} />}
        </Loaded>
        {me?.operator === true && <LimitTable project={null} />}
        <OwnLimits />
        {me?.shared === true && me.token_project === null && <SessionTable />}
        {me?.token_project === null && <NoticeSettings />}
        {me?.token_project === null && <WebhookTable />}
        <AppearanceChoice />
        <DesktopNotices />
      </SpaceBetween>
    </ContentLayout>
  );
}
