"""Networks, security groups, key pairs and elastic addresses."""

from tests.aws_double.boto import (
    described_instance,
    launch_instance,
    refusal_message,
    refused,
    running_instance,
    set_rules,
)

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk1mF1qYBTPZBEVCJzmfJ9V2wMSnwSPjmuyXX0z3mBy somebody"
)
SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.7/32"}]}


def group(ec2, name="prism", **more):
    request = {"GroupName": name, "Description": "ours"} | more
    return ec2.create_security_group(**request)["GroupId"]


def described(ec2, id):
    return ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"][0]


def test_default_vpc_has_a_subnet_in_every_zone(ec2):
    """A default VPC comes with a default subnet in each Availability Zone.

    Default VPCs
    https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
    """
    default = [{"Name": "is-default", "Values": ["true"]}]
    [network] = ec2.describe_vpcs(Filters=default)["Vpcs"]
    filters = [{"Name": "vpc-id", "Values": [network["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=filters)["Subnets"]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert sorted(subnet["AvailabilityZone"] for subnet in subnets) == [
        zone["ZoneName"] for zone in zones
    ]
    assert all(subnet["DefaultForAz"] and subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    [attribute] = ec2.describe_account_attributes(AttributeNames=["default-vpc"])[
        "AccountAttributes"
    ]
    assert attribute["AttributeValues"][0]["AttributeValue"] == network["VpcId"]


def test_duplicate_security_group_name_in_a_vpc_is_refused(ec2):
    """InvalidGroup.Duplicate: look for it first.

    CreateSecurityGroup
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    """
    group(ec2)
    twice = {"GroupName": "prism", "Description": "ours"}
    refused("InvalidGroup.Duplicate", ec2.create_security_group, **twice)
    other = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert group(ec2, VpcId=other)


def test_new_security_group_allows_only_outbound_traffic(ec2):
    """No inbound rules, and one that allows all outbound traffic.

    Security groups for your VPC
    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
    """
    now = described(ec2, group(ec2))
    assert now["IpPermissions"] == []
    [out] = now["IpPermissionsEgress"]
    assert (out["IpProtocol"], out["IpRanges"]) == ("-1", [{"CidrIp": "0.0.0.0/0"}])


def test_duplicate_security_group_rule_is_refused(ec2):
    """InvalidPermission.Duplicate; revoking what is not there is InvalidPermission.NotFound.

    AuthorizeSecurityGroupIngress
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
    """
    request = {"GroupId": group(ec2), "IpPermissions": [SSH]}
    [rule] = ec2.authorize_security_group_ingress(**request)["SecurityGroupRules"]
    assert "192.0.2.7/32" in refusal_message(
        "InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, **request
    )
    assert described(ec2, request["GroupId"])["IpPermissions"][0]["IpRanges"] == SSH["IpRanges"]
    lines = ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [request["GroupId"]]}]
    )["SecurityGroupRules"]
    assert rule["SecurityGroupRuleId"] in {line["SecurityGroupRuleId"] for line in lines}
    ec2.revoke_security_group_ingress(**request)
    refused("InvalidPermission.NotFound", ec2.revoke_security_group_ingress, **request)


def test_security_group_in_use_cannot_be_deleted(aws, ec2):
    """DependencyViolation, until the instance is terminated.

    DeleteSecurityGroup
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
    """
    id = group(ec2)
    machine = running_instance(aws, ec2, SecurityGroupIds=[id])
    assert described_instance(ec2, machine)["SecurityGroups"] == [
        {"GroupId": id, "GroupName": "prism"}
    ]
    refused("DependencyViolation", ec2.delete_security_group, GroupId=id)
    ec2.terminate_instances(InstanceIds=[machine])
    aws.clock.advance(1)
    ec2.delete_security_group(GroupId=id)
    refused("InvalidGroup.NotFound", ec2.delete_security_group, GroupId=id)
    assert described_instance(ec2, machine)["SecurityGroups"] == []


def test_group_can_be_deleted_while_its_former_machine_is_still_shown(aws, ec2):
    """A description can be older than the deletion of what it names.

    Eventual consistency in the Amazon EC2 API
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """
    id = group(ec2)
    machine = running_instance(aws, ec2, SecurityGroupIds=[id])
    set_rules(aws, times={"states": 30, "shutting_down": 1})
    ec2.terminate_instances(InstanceIds=[machine])
    aws.clock.advance(2)
    ec2.delete_security_group(GroupId=id)
    description = described_instance(ec2, machine)
    assert (description["State"]["Name"], description["SecurityGroups"]) == ("running", [])


def test_default_security_group_cannot_be_deleted(ec2):
    """You can't delete a default security group.

    Default security groups for your VPCs
    https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
    """
    [default] = described_instance(ec2, launch_instance(ec2))["SecurityGroups"]
    assert default["GroupName"] == "default"
    refused("CannotDelete", ec2.delete_security_group, GroupId=default["GroupId"])


def test_duplicate_key_pair_is_refused_and_deleting_it_can_be_repeated(ec2):
    """ED25519 and RSA keys; InvalidKeyPair.Duplicate; deleting what is not there succeeds.

    Create a key pair for your Amazon EC2 instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html
    """
    request = {"KeyName": "mine", "PublicKeyMaterial": PUBLIC_KEY.encode()}
    imported = ec2.import_key_pair(**request)
    refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, **request)
    [key] = ec2.describe_key_pairs(KeyNames=["mine"], IncludePublicKey=True)["KeyPairs"]
    assert (key["KeyType"], key["PublicKey"]) == ("ed25519", PUBLIC_KEY)
    assert key["KeyFingerprint"] == imported["KeyFingerprint"]
    assert described_instance(ec2, launch_instance(ec2, KeyName="mine"))["KeyName"] == "mine"
    for _ in range(2):
        ec2.delete_key_pair(KeyName="mine")
    refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["mine"])
    bad = {"KeyName": "bad", "PublicKeyMaterial": b"-----BEGIN RSA PRIVATE KEY-----"}
    refused("InvalidKey.Format", ec2.import_key_pair, **bad)


def test_security_group_rule_requires_a_source(ec2):
    """A source is a must: a range of addresses, or a group.

    AuthorizeSecurityGroupIngress
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
    """
    id = group(ec2)
    request = {"GroupId": id, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    refused("MissingParameter", ec2.authorize_security_group_ingress, **request)
    inside = {**SSH, "IpRanges": [], "UserIdGroupPairs": [{"GroupId": id}]}
    v6 = {**SSH, "IpRanges": [], "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]}
    ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[inside, v6])
    [first, second] = described(ec2, id)["IpPermissions"]
    assert first["UserIdGroupPairs"][0]["GroupId"] == id
    assert second["Ipv6Ranges"] == v6["Ipv6Ranges"]


def test_unknown_availability_zone_is_refused(ec2):
    """InvalidParameterValue: invalid availability zone.

    DescribeAvailabilityZones
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html
    """
    request = {"ZoneNames": ["us-east-1b"]}
    [zone] = ec2.describe_availability_zones(**request)["AvailabilityZones"]
    assert (zone["ZoneName"], zone["ZoneId"]) == ("us-east-1b", "use1-az2")
    refused("InvalidParameterValue", ec2.describe_availability_zones, ZoneNames=["us-west-2a"])
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = {"VpcId": network, "CidrBlock": "172.31.250.0/28", "AvailabilityZone": "us-west-2a"}
    refused("InvalidParameterValue", ec2.create_subnet, **subnet)


def test_elastic_address_is_allocated_associated_and_released(aws, ec2):
    """AssociateAddress is idempotent; an address in use is not released.

    Elastic IP addresses
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/elastic-ip-addresses-eip.html
    """
    machine, held = running_instance(aws, ec2), ec2.allocate_address()
    mine = {"AllocationId": held["AllocationId"]}
    ids = {ec2.associate_address(InstanceId=machine, **mine)["AssociationId"] for _ in range(2)}
    [address] = ec2.describe_addresses()["Addresses"]
    assert (address["InstanceId"], {address["AssociationId"]}) == (machine, ids)
    refused("InvalidIPAddress.InUse", ec2.release_address, **mine)
    ec2.disassociate_address(AssociationId=ids.pop())
    assert "PublicIpAddress" not in described_instance(ec2, machine)
    ec2.release_address(**mine)
    refused("InvalidAllocationID.NotFound", ec2.release_address, **mine)
    assert ec2.describe_addresses()["Addresses"] == []
