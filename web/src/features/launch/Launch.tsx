import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';

import { LaunchSection } from './LaunchSection';
import { t } from '../../strings';

/** Launching a workspace. */
export default function Launch() {
  return (
    <ContentLayout
      header={
        <Header variant="h1" description={t.launch.what}>
          {t.launch.title}
        </Header>
      }
    >
      <LaunchSection />
    </ContentLayout>
  );
}
