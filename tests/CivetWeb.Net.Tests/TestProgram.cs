using System.Threading.Tasks;

namespace CivetWeb.Net.Tests;

/// <summary>The test assembly as a program: an example of the documents that needs a process of its own.</summary>
internal static class TestProgram
{
    /// <summary>What to run for the program of docs/deployment.md.</summary>
    public static string[] DeploymentCommand(params string[] arguments) =>
        ["dotnet", typeof(TestProgram).Assembly.Location, "deployment", .. arguments];

    private static async Task<int> Main(string[] args)
    {
        const int UsageError = 2;
        return args is ["deployment", .. string[] rest] ? await DeploymentExamples.Program(rest) : UsageError;
    }
}
